"""nerfstudio's splatfacto runs edited by sds3d: files are exchanged, neither program imports the other."""
