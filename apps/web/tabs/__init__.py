"""The tabs of the page, one file each: `build(service)` lays one out."""
