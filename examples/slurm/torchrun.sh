#!/bin/bash
# Features of a collection on several machines: one queue, however long some videos are.
#
#     sbatch --nodes=4 examples/slurm/torchrun.sh slowfast_r50 /data/videos /data/features
#SBATCH --job-name=ptv-features
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=32
#SBATCH --time=08:00:00
set -euo pipefail
model=$1 videos=$2 out=$3
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
exec srun torchrun \
  --nnodes "$SLURM_NNODES" --nproc-per-node "${SLURM_GPUS_ON_NODE:-1}" \
  --rdzv-backend c10d --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$head:29500" \
  -m ptv_hub features "$model" "$videos" -o "$out" \
  --window 32 --stride 16 --fps 30 --device cuda --batch-views 16 --workers 6
