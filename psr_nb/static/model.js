// Talking with the kernel, and hearing of the page's theme.

import { once } from './dom.js';

// A message to the kernel. A panel may outlive it; then its last line says so.
export const tell = (model, message) => {
  try {
    model.send(message);
  } catch {
    const lost = 'This panel has lost its kernel: run the cell again.';
    if (model.get('error') === undefined) model.set('note', `!${lost}`);
    else model.set('error', lost);
  }
};

// Calls `work` when the kernel of a panel has gone, as after a restart.
export function onLost(model, work) {
  const lost = 'This panel has lost its kernel: run the cell again.';
  const heard = () => {
    if (model.get('error') === undefined) model.set('note', `!${lost}`);
    else model.set('error', lost);
    work?.();
  };
  model.on('comm_live_update', heard);
  return () => model.off('comm_live_update', heard);
}

// Calls `handler` for messages of one kind; gives back what ends it.
export const listen = (model, kind, handler) => {
  const heard = (message, buffers) => {
    if (message.kind === kind) handler(message, buffers);
  };
  model.on('msg:custom', heard);
  return () => model.off('msg:custom', heard);
};

// Runs `work` once after any of these traits have changed; gives back what ends it.
export function follow(model, names, work) {
  const update = once(work);
  for (const name of names) model.on(`change:${name}`, update);
  return () => {
    for (const name of names) model.off(`change:${name}`, update);
  };
}

// Colours follow the page: JupyterLab's theme, VS Code's, or the system's.
export function onTheme(change) {
  const watch = new MutationObserver(change);
  const system = matchMedia('(prefers-color-scheme: dark)');
  const attributeFilter = ['data-jp-theme-light', 'data-jp-theme-name', 'class', 'data-vscode-theme-kind'];
  watch.observe(document.body, { attributes: true, attributeFilter });
  system.addEventListener('change', change);
  return () => {
    watch.disconnect();
    system.removeEventListener('change', change);
  };
}
