"""The losses of SpikeCLIP's two training stages (eq. 3-6)."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def alignment_loss(student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Return eq. 3: the mean over images of 1 - cos(student, teacher). Shapes (B, E)."""
    return (1 - F.cosine_similarity(student, teacher, dim=-1)).mean()


def kl_loss(student_logits: torch.Tensor, teacher_logits: torch.Tensor) -> torch.Tensor:
    """Return eq. 4: KL(teacher || student) of the class probabilities, mean over images. Shapes (B, K).

    The papers' epsilon guards a division; in log space there is none to guard.
    """
    return F.kl_div(
        student_logits.log_softmax(1), teacher_logits.log_softmax(1), reduction="batchmean", log_target=True
    )


def dual_loss(
    student_logits: torch.Tensor, teacher_logits: torch.Tensor, labels: torch.Tensor, alpha: float = 1.0
) -> torch.Tensor:
    """Return eq. 6: KL + alpha * cross-entropy (eq. 5)."""
    return kl_loss(student_logits, teacher_logits) + alpha * F.cross_entropy(student_logits, labels)
