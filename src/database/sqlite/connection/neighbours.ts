import { opendir } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { editDistance } from '../../../edit-distance.ts'
import { someText } from '../../../number-text.ts'
import { holdingOf } from './unopened-file.ts'

/** What the folder of a missing database holds. */
export interface Neighbours {
  /** The names of some files, as text; empty: there are none. */
  readonly names: string
  /** A database of the gateway with almost the configured name, and how the name differs: a clause that begins with its path. */
  readonly likely: string | undefined
}

/** A folder with more files is unlikely to be a database's. */
const MOST_LOOKED_AT = 10_000
/** The most files with similar names that are opened. */
const MOST_OPENED = 100

export async function neighboursOf(file: string, uid: number | undefined): Promise<Neighbours> {
  const folder = dirname(file)
  const wanted = basename(file)
  const names = await namesIn(folder)
  const neighbours = { names: someOf(names) }
  const alike = names.flatMap((name) => {
    const difference = differenceOf(wanted, name)
    return difference === undefined ? [] : [{ path: join(folder, name), difference }]
  })
  for (const { path, difference } of [...alike.slice(0, MOST_OPENED), ...elsewhere(folder, wanted)]) {
    const holding = await holdingOf(path, uid)
    if (holding === 'something else') continue
    const holds = holding === 'unclear' ? "cannot be read completely and may hold the gateway's tables" : "holds the gateway's tables"
    return { ...neighbours, likely: `${oneLine(path)}, whose name differs ${difference}, ${holds}` }
  }
  return { ...neighbours, likely: undefined }
}

/** The name read as a URL or as a Windows path, if that makes it a path. */
function elsewhere(folder: string, wanted: string): readonly { readonly path: string; readonly difference: string }[] {
  const read = percentDecoded(wanted).replaceAll('\\', '/')
  return read.includes('/') && !read.includes('\0') ? [{ path: join(folder, read), difference: 'in how its characters are written' }] : []
}

/** As many names as fit into a sentence, whatever is in them. */
export function someOf(names: readonly string[]): string {
  return someText(names.map(oneLine))
}

function oneLine(name: string): string {
  return name.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '?')
}

/** The files that SQLite keeps beside a database. */
export const BESIDE_A_DATABASE = /-(?:wal|shm|journal)$/

async function namesIn(folder: string): Promise<readonly string[]> {
  const names: string[] = []
  try {
    for await (const { name } of await opendir(folder)) {
      if (!BESIDE_A_DATABASE.test(name)) names.push(name)
      if (names.length === MOST_LOOKED_AT) break
    }
  } catch {
    // A folder that cannot be listed can still be the right one. Creating the file will show.
  }
  return names.toSorted((a, b) => (a < b ? -1 : 1))
}

const MOST_SLIPS = 2

/** How two names differ that one typing mistake could turn into each other; `undefined`: they differ more. */
function differenceOf(wanted: string, found: string): string | undefined {
  // Another worker has just made it.
  if (found === wanted) return undefined
  const [a, b] = [wanted.normalize().toLowerCase(), found.normalize().toLowerCase()]
  if (a === b) return 'in capital and small letters'
  // A URL ends its path at a question mark.
  if (b.startsWith(`${a}?`) || /^[?#&;]/.test(a.startsWith(b) ? a.slice(b.length) : '')) return 'in what follows it'
  if (stemOf(a) === stemOf(b) || a.startsWith(`${b}.`)) return 'in its extension'
  const [readA, readB] = [unescaped(a), unescaped(b)]
  if (readA === readB || stemOf(readA) === stemOf(readB)) return 'in how its characters are written'
  return near(readA, readB) || near(stemOf(readA), stemOf(readB)) ? 'in a character or two' : undefined
}

function near(one: string, other: string): boolean {
  return Math.abs(one.length - other.length) <= MOST_SLIPS && editDistance(one, other) <= MOST_SLIPS
}

/** Without its extension, or all of its database extensions, of which there may be two. */
function stemOf(name: string): string {
  const stem = name.replace(/(?<=.)(?:\.(?:db3?|sqlite3?))+$/, '')
  return stem === name ? name.slice(0, name.length - extname(name).length) : stem
}

/** Decoded as in a URL or a form, with all word separators made equal. */
function unescaped(name: string): string {
  return percentDecoded(name)
    .normalize()
    .toLowerCase()
    .replaceAll(/[\s+_-]+/g, ' ')
}

function percentDecoded(name: string): string {
  try {
    return decodeURIComponent(name)
  } catch {
    return name
  }
}
