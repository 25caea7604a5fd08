"""Lets torchvision be imported where its compiled operators don't fit this torch: only its layers are needed."""

import sys
import types

sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
