"""Training a student on what it was taught: LoRA by SFT and DPO, a thin layer over TRL and PEFT.

Needs the extra `train` (PyTorch, transformers, TRL, PEFT, gguf), which nothing else here imports. Left out:
full fine-tuning, several GPUs, reinforcement learning: name a trainer that does these in a stage's `train`.
"""
