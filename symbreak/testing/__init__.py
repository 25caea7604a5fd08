"""Checks for other people's tests, too."""

from ._assert_no_ties import assert_no_ties as assert_no_ties
from ._check_gradient import check_gradient as check_gradient
from ._check_initializer import check_initializer as check_initializer
