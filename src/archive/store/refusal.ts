import type { Stats } from 'node:fs'
import { kindOf } from '../../files.ts'

const WRITABLE_BY_OTHERS = 0o002

/**
 * Why something in the archive is not accepted as a file or folder of it; `undefined`: it is accepted. A second name (a hard link, as
 * backup tools make them) is no reason: no file is ever written to after it is published.
 */
export function refusal(stats: Stats, expected: 'file' | 'folder', uid: number | undefined): string | undefined {
  const found = kindOf(stats)
  if (found !== expected) return `is a ${found}, but only a ${expected} is accepted there`
  if (uid === undefined || stats.uid === uid || (stats.mode & WRITABLE_BY_OTHERS) === 0) return undefined
  return `belongs to uid ${stats.uid}, and everybody may write to it: chown it to uid ${uid}, or run chmod o-w`
}

/** A mount point may have any owner, so a world-writable root is only worth a warning. */
export function writableByAll(stats: Stats): boolean {
  return (stats.mode & WRITABLE_BY_OTHERS) !== 0
}
