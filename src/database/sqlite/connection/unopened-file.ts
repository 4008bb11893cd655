import { constants } from 'node:fs'
import { open, realpath, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf } from '../../../errors.ts'
import { MADE_BY_GATEWAY } from '../../gateway-tables.ts'

/**
 * What is known of a file without opening it in SQLite, which would take locks and create files beside it. `unclear`: it is a database, or may be one, but
 * its schema cannot be read completely; such a file is treated as the gateway's.
 */
export type Holding = 'the gateway' | 'something else' | 'unclear'

/** Opens only regular files of this user (following links), reads a bounded part of them, and locks and writes nothing. */
export async function holdingOf(path: string, uid: number | undefined): Promise<Holding> {
  try {
    const file = await realpath(path)
    const owners = await ownersOf(dirname(file), uid)
    if (!mayBeOpened(await stat(file), owners)) return 'something else'
    const found = new Set<string>()
    let whole = true
    for await (const text of textsOf(file, owners)) {
      if (text === undefined) whole = false
      else for (const name of gatewayTablesIn(text)) found.add(name)
      if (found.size >= TABLES_OF_A_GATEWAY) return 'the gateway'
    }
    return whole ? 'something else' : 'unclear'
  } catch (error) {
    return MISSING.has(codeOf(error)) ? 'something else' : 'unclear'
  }
}

/** The file has been removed meanwhile, or is a dangling link. */
const MISSING: ReadonlySet<unknown> = new Set(['ENOENT', 'ELOOP', 'ENOTDIR'])

/** A single table with one of these names may be another program's. */
const TABLES_OF_A_GATEWAY = 2

/** Root's database files belong to the owner of the folder, so root also accepts that owner's files. */
async function ownersOf(folder: string, uid: number | undefined): Promise<readonly number[] | undefined> {
  if (uid === undefined) return undefined
  return uid === 0 ? [0, (await stat(folder)).uid] : [uid]
}

type Owned = Readonly<{ uid: number; isFile(): boolean }>

function mayBeOpened(stats: Owned, owners: readonly number[] | undefined): boolean {
  return stats.isFile() && (owners === undefined || owners.includes(stats.uid))
}

/** The parts that can hold table names, from the file and from the files that SQLite keeps beside it. `undefined`: there is more that cannot be read. */
async function* textsOf(file: string, owners: readonly number[] | undefined): AsyncGenerator<string | undefined> {
  {
    await using handle = await openUnfollowed(file)
    const stats = await handle.stat()
    if (!mayBeOpened(stats, owners)) return
    if (stats.size > 0 && !(await bytesOf(handle, 0, MAGIC.length)).equals(MAGIC)) return
    if (stats.size >= SMALLEST_PAGE) yield* schemaPages(handle)
  }
  // New tables may so far exist only in the write-ahead log, and pages overwritten by an interrupted transaction only in the journal.
  for (const suffix of ['-wal', '-journal']) yield* beginningOf(`${file}${suffix}`, owners)
}

async function* beginningOf(file: string, owners: readonly number[] | undefined): AsyncGenerator<string | undefined> {
  try {
    await using handle = await openUnfollowed(file)
    const stats = await handle.stat()
    if (!mayBeOpened(stats, owners)) return
    yield (await bytesOf(handle, 0, Math.min(stats.size, MOST_BYTES))).toString('latin1')
    if (stats.size > MOST_BYTES) yield undefined
  } catch (error) {
    if (!MISSING.has(codeOf(error))) throw error
  }
}

function openUnfollowed(file: string): Promise<FileHandle> {
  return open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
}

const MAGIC = Buffer.from('SQLite format 3\0')
const SMALLEST_PAGE = 512
/** Limit for a log or journal: a gateway creates its tables before it writes anything else. */
const MOST_BYTES = 16 * 2 ** 20
/** No schema has more. */
const MOST_PAGES = 1024

/** The leaf pages of the schema's b-tree, whose root is the first page of the file. See section 1.6 of SQLite's file format. */
async function* schemaPages(handle: FileHandle): AsyncGenerator<string | undefined> {
  const stated = (await bytesOf(handle, 16, 2)).readUInt16BE()
  const pageBytes = stated === 1 ? 65_536 : stated
  const pages = [1]
  for (const number of pages) {
    const page = number > 0 && pageBytes >= SMALLEST_PAGE ? await bytesOf(handle, (number - 1) * pageBytes, pageBytes) : Buffer.alloc(0)
    const header = number === 1 ? FILE_HEADER_BYTES : 0
    const kind = page.length === pageBytes ? page[header] : undefined
    const below = kind === INTERIOR ? childrenIn(page, header) : []
    if ((kind !== INTERIOR && kind !== LEAF) || below === undefined || pages.length + below.length > MOST_PAGES) yield undefined
    else pages.push(...below)
    // Yielded even if the page is damaged.
    yield page.toString('latin1')
  }
}

const FILE_HEADER_BYTES = 100
const INTERIOR = 0x05
const LEAF = 0x0d

/** `undefined`: the page is damaged. */
function childrenIn(page: Buffer, header: number): readonly number[] | undefined {
  const cells = page.readUInt16BE(header + 3)
  const first = header + 12
  if (first + 2 * cells > page.length) return undefined
  const at = Array.from({ length: cells }, (_, cell) => page.readUInt16BE(first + 2 * cell))
  if (at.some((offset) => offset + 4 > page.length)) return undefined
  return [...at.map((offset) => page.readUInt32BE(offset)), page.readUInt32BE(header + 8)]
}

/** Fewer if the file ends earlier. */
async function bytesOf(handle: FileHandle, from: number, most: number): Promise<Buffer> {
  const bytes = Buffer.alloc(most)
  let length = 0
  while (length < most) {
    const { bytesRead } = await handle.read(bytes, length, most - length, from + length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return bytes.subarray(0, length)
}

/** A row of the schema holds the word "table" and the table's name twice, without separators; in UTF-16 there is a zero byte beside each letter. */
const ROW_OF_THE_SCHEMA = new RegExp(MADE_BY_GATEWAY.map((name) => `table${name}${name}`.split('').join('\0?')).join('|'), 'gi')

function gatewayTablesIn(text: string): readonly string[] {
  return [...text.matchAll(ROW_OF_THE_SCHEMA)].map(([row]) => row.replaceAll('\0', '').toLowerCase())
}
