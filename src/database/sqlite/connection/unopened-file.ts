import { constants } from 'node:fs'
import { open, realpath, stat, type FileHandle } from 'node:fs/promises'
import { dirname } from 'node:path'
import { codeOf } from '../../../errors.ts'

/**
 * What is known of a file that SQLite does not open: it would take locks and make files beside it. `unclear`: it is a database, or has the right to
 * be taken for one, and its schema cannot be read as a whole; such a file counts as the gateway's.
 */
export type Holding = 'the gateway' | 'something else' | 'unclear'

/** Opens nothing but regular files of this user's, those behind links too, reads no more than a bound of them, and locks and writes nothing. */
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
    return GONE.has(codeOf(error)) ? 'something else' : 'unclear'
  }
}

/** The file was taken away meanwhile, or is a link to nothing. */
const GONE: ReadonlySet<unknown> = new Set(['ENOENT', 'ELOOP', 'ENOTDIR'])

/** One table of such a name can be anybody's. */
const TABLES_OF_A_GATEWAY = 2

/** In lower case. */
export const GATEWAY_TABLES: ReadonlySet<string> = new Set([
  'tools',
  'audit_logs',
  'mcp_servers',
  'policy_decisions',
  'api_keys',
  'sessions',
])

/** What root makes belongs to whom the folder belongs to, and so does what it takes for its own. */
async function ownersOf(folder: string, uid: number | undefined): Promise<readonly number[] | undefined> {
  if (uid === undefined) return undefined
  return uid === 0 ? [0, (await stat(folder)).uid] : [uid]
}

type Owned = Readonly<{ uid: number; isFile(): boolean }>

function mayBeOpened(stats: Owned, owners: readonly number[] | undefined): boolean {
  return stats.isFile() && (owners === undefined || owners.includes(stats.uid))
}

/** Where tables are named, in the file and in what SQLite keeps beside it. `undefined`: there is more, which cannot be read. */
async function* textsOf(file: string, owners: readonly number[] | undefined): AsyncGenerator<string | undefined> {
  {
    await using handle = await openUnfollowed(file)
    const stats = await handle.stat()
    if (!mayBeOpened(stats, owners)) return
    if (stats.size > 0 && !(await bytesOf(handle, 0, MAGIC.length)).equals(MAGIC)) return
    if (stats.size >= SMALLEST_PAGE) yield* schemaPages(handle)
  }
  // With a write-ahead log the tables may lie in nothing else yet; what a transaction that was cut off has overwritten lies in the journal.
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
    if (!GONE.has(codeOf(error))) throw error
  }
}

function openUnfollowed(file: string): Promise<FileHandle> {
  return open(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
}

const MAGIC = Buffer.from('SQLite format 3\0')
const SMALLEST_PAGE = 512
/** Of a log or journal: a gateway makes its tables before it writes anything else. */
const MOST_BYTES = 16 * 2 ** 20
/** No schema has more. */
const MOST_PAGES = 1024

/** The leaves of the schema's b-tree, whose root is the first page, wherever in the file they lie: SQLite's file format, section 1.6. */
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
    // Also of a page that is damaged.
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

/** Fewer where the file ends before. */
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

/** A row of the schema holds the word "table", its name, and its name once more, with nothing between them; in UTF-16 there is a zero beside each letter. */
const ROW_OF_THE_SCHEMA = new RegExp([...GATEWAY_TABLES].map((name) => `table${name}${name}`.split('').join('\0?')).join('|'), 'gi')

function gatewayTablesIn(text: string): readonly string[] {
  return [...text.matchAll(ROW_OF_THE_SCHEMA)].map(([row]) => row.replaceAll('\0', '').toLowerCase())
}
