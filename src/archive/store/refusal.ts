import type { Stats } from 'node:fs'
import { kindOf } from '../../files.ts'

const WRITABLE_BY_OTHERS = 0o002

/**
 * Why what lies at a place of the archive is not taken for a file, or a folder, of it; `undefined`: it is. A second name (a hard link, as backup tools
 * make them) is no reason: no file is ever written to once it has its name.
 */
export function refusal(stats: Stats, expected: 'file' | 'folder', uid: number | undefined): string | undefined {
  const found = kindOf(stats)
  if (found !== expected) return `is a ${found}, and only a ${expected} is taken there`
  if (uid === undefined || stats.uid === uid || (stats.mode & WRITABLE_BY_OTHERS) === 0) return undefined
  return `belongs to uid ${stats.uid}, and everybody may write to it: give it to uid ${uid}, or take that right away (chmod o-w)`
}

/** What a mount point is may be anybody's; that everybody may write there is told. */
export function writableByAll(stats: Stats): boolean {
  return (stats.mode & WRITABLE_BY_OTHERS) !== 0
}
