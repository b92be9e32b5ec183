#!/bin/bash
# A Ray inside a Slurm job: a head on the first node, workers on all of them, then one psr command.
#   sbatch slurm.sh pool --prior facebook/DiT-XL-2-256 --n-per-class 50 --out /shared/pool
#SBATCH --job-name=psr
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-task=1
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail
[ $# -gt 0 ] || { echo "usage: sbatch slurm.sh COMMAND OPTIONS, as psr takes them" >&2; exit 2; }

nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=$(head -n 1 <<< "$nodes")
port=$((20000 + SLURM_JOB_ID % 20000))
export RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0 OMP_NUM_THREADS=1
RAY_AUTH_TOKEN=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n') # only this job may use its cluster
export RAY_AUTH_TOKEN
workers=$(wc -l <<< "$nodes")
gpus=${SLURM_GPUS_PER_TASK:-0}
[ "$gpus" = 0 ] || workers=$((workers * ${gpus##*:}))
own=(--num-cpus="${SLURM_CPUS_PER_TASK:-1}" --num-gpus="${gpus##*:}" --disable-usage-stats --block)

srun --nodes=1 --ntasks=1 --overlap -w "$head" ray start --head --port="$port" "${own[@]}" &
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
for _ in $(seq 60); do
  srun --nodes=1 --ntasks=1 --overlap -w "$head" ray status --address="$head:$port" > /dev/null 2>&1 && break
  sleep "${PAUSE:-5}"
done
for node in $(tail -n +2 <<< "$nodes"); do
  srun --nodes=1 --ntasks=1 --overlap -w "$node" ray start --address="$head:$port" "${own[@]}" &
done
srun --nodes=1 --ntasks=1 --overlap -w "$head" psr "$@" --engine ray --address "$head:$port" --workers "$workers"
