/**
 * What the image and the systemd units set in NODE_OPTIONS; a test compares. The young part of the heap then stays at its first size: a purge lets go of nearly
 * everything it makes at once, and would otherwise grow it for rows that are long gone.
 */
export const NODE_OPTIONS = '--max-semi-space-size=1'
