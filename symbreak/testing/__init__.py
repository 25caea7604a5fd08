"""Checks for other people's tests, too."""

from ._check_gradient import check_gradient as check_gradient
