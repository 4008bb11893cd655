/**
 * What the image and the systemd units set in NODE_OPTIONS; a test compares them. The young generation of the heap then stays at its first size: a purge
 * discards nearly everything that it makes at once, and the heap would otherwise grow for rows that no longer exist.
 */
export const NODE_OPTIONS = '--max-semi-space-size=1'
