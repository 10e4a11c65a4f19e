"""Families of published diffusion models: one file each, holding what differs from the others.

Every module here (and every entry point of `sds3d.families`) exposes `FAMILIES`, a tuple of `base.Family` instances;
`priors.family_table` finds them.
"""
