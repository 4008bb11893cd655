import { constants } from 'node:fs'
import { open, opendir, stat } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import BetterSqlite3 from 'better-sqlite3'
import { editDistance } from '../../edit-distance.ts'

/** What lies in the folder of a database that is not there. */
export interface Neighbours {
  /** The names of some. */
  readonly some: readonly string[]
  /** How many there are besides. */
  readonly more: number
  /** The gateway's database, where one has nearly the name that was asked for, and how that differs. */
  readonly likely: { readonly path: string; readonly difference: string } | undefined
}

const MOST_NAMED = 10
/** A folder of more files is no folder of a database. */
const MOST_LOOKED_AT = 10_000
/** So many of nearly the same name are opened. */
const MOST_OPENED = 20

/** Opens nothing but regular files of this user's, reads no more than a bound of them, and locks and writes nothing. */
export async function neighboursOf(file: string, uid: number | undefined): Promise<Neighbours> {
  const folder = dirname(file)
  const wanted = basename(file)
  const names = await namesIn(folder)
  const own = await ownersOf(folder, uid)
  const alike = names
    .flatMap((name) => {
      const difference = differenceOf(wanted, name)
      return difference === undefined ? [] : [{ path: join(folder, name), difference }]
    })
    .slice(0, MOST_OPENED)
  for (const likely of alike) {
    if (await holdsTheGateway(likely.path, own)) return { ...named(names), likely }
  }
  return { ...named(names), likely: undefined }
}

/** The files that SQLite keeps beside a database. */
export const BESIDE_A_DATABASE = /-(?:wal|shm|journal)$/

function named(names: readonly string[]): Omit<Neighbours, 'likely'> {
  const some = names.slice(0, MOST_NAMED).map((name) => name.replaceAll(/[\p{C}\p{Zl}\p{Zp}]/gu, '?'))
  return { some, more: names.length - some.length }
}

async function namesIn(folder: string): Promise<readonly string[]> {
  const names: string[] = []
  try {
    for await (const { name } of await opendir(folder)) {
      if (!BESIDE_A_DATABASE.test(name)) names.push(name)
      if (names.length === MOST_LOOKED_AT) break
    }
  } catch {
    // What cannot be listed can still be the right folder: making the file will say.
  }
  return names.toSorted((a, b) => (a < b ? -1 : 1))
}

/** What root makes belongs to whom the folder belongs to, and so does what it takes for its own. */
async function ownersOf(folder: string, uid: number | undefined): Promise<readonly number[] | undefined> {
  if (uid === undefined) return undefined
  return uid === 0 ? [0, (await stat(folder)).uid] : [uid]
}

const MOST_SLIPS = 2

/** `undefined`: no slip of the pen leads from one to the other. */
function differenceOf(wanted: string, found: string): string | undefined {
  const [a, b] = [wanted.toLowerCase(), found.toLowerCase()]
  if (a === b) return 'in capital and small letters'
  const [stemOfA, stemOfB] = [stemOf(a), stemOf(b)]
  if (stemOfA === stemOfB) return 'in its extension'
  return near(a, b) || near(stemOfA, stemOfB) ? 'in a character or two' : undefined
}

function near(one: string, other: string): boolean {
  return Math.abs(one.length - other.length) <= MOST_SLIPS && editDistance(one, other) <= MOST_SLIPS
}

function stemOf(name: string): string {
  return name.slice(0, name.length - extname(name).length)
}

/** Enough for the schema of any gateway: its tables were made before anything was written to them. */
const MOST_BYTES = 16 * 2 ** 20
const MAGIC = Buffer.from('SQLite format 3\0')

async function holdsTheGateway(path: string, owners: readonly number[] | undefined): Promise<boolean> {
  try {
    await using handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    const stats = await handle.stat()
    if (!stats.isFile() || (owners !== undefined && !owners.includes(stats.uid)) || stats.size < MAGIC.length) return false
    const image = Buffer.alloc(Math.min(stats.size, MOST_BYTES))
    let length = 0
    while (length < image.length) {
      const { bytesRead } = await handle.read(image, length, image.length - length, length)
      if (bytesRead === 0) break
      length += bytesRead
      if (!image.subarray(0, MAGIC.length).equals(MAGIC)) return false
    }
    return tablesIn(image.subarray(0, length)).filter((name) => GATEWAY_TABLES.has(name)).length >= 2
  } catch {
    // What cannot be read is nobody's database as far as can be told.
    return false
  }
}

/** In lower case. */
export const GATEWAY_TABLES: ReadonlySet<string> = new Set([
  'tools',
  'audit_logs',
  'mcp_servers',
  'policy_decisions',
  'api_keys',
  'sessions',
])

/** Of the beginning of a file, as SQLite reads it in memory: nothing on the disk is opened, locked or made. */
function tablesIn(bytes: Buffer): readonly string[] {
  const pageBytes = bytes.readUInt16BE(HEADER.pageBytes) === 1 ? 65_536 : bytes.readUInt16BE(HEADER.pageBytes)
  const pages = Math.floor(bytes.length / pageBytes)
  if (pages === 0) return []
  const image = Buffer.from(bytes.subarray(0, pages * pageBytes))
  // Only so many pages, and no log beside them.
  image.writeUInt32BE(pages, HEADER.pages)
  image.copy(image, HEADER.validFor, HEADER.changes, HEADER.changes + 4)
  image.fill(1, HEADER.versions, HEADER.versions + 2)
  const database = new BetterSqlite3(image, { readonly: true })
  try {
    return database.prepare<[], string>("SELECT lower(name) FROM main.sqlite_schema WHERE type = 'table'").pluck().all()
  } finally {
    database.close()
  }
}

/** Offsets in the first bytes of a file, as SQLite's file format has them. */
const HEADER = { pageBytes: 16, versions: 18, changes: 24, pages: 28, validFor: 92 } as const
