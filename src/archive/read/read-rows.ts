import { createHash } from 'node:crypto'
import { pipeline } from 'node:stream/promises'
import { constants, createZstdDecompress } from 'node:zlib'
import { LONG_BYTES } from '../../database/exporting/json-text.ts'
import { codeOf, messageOf } from '../../errors.ts'
import { damaged } from '../damage.ts'
import { LONGEST_ROW, LONGEST_ROW_BYTES, type RowsFile } from '../format.ts'
import { refusedIn } from '../store/guarded-tree.ts'
import type { OpenFile, Shelf } from '../store/store.ts'

/** Bytes to decompress at a time. */
const CHUNK_BYTES = 2 ** 18
/** A frame that asks for a larger window is not ours: ours ask for 512 KiB, and every zstd reader must support these 8 MiB. */
const MOST_WINDOW_LOG = 23

/** A `line` is valid until the returned promise resolves; one that is not long, until the file has been read. */
type Each = (line: Buffer, index: number) => Promise<void> | void

/**
 * Reads a file of rows line by line. It is decompressed only if its size and digest are those of its manifest, and no further than the
 * manifest describes, so it takes little memory whatever it holds. Rejects if the file is not what its manifest describes.
 */
export async function readRows(shelf: Shelf, file: RowsFile, each: Each, stopping?: AbortSignal): Promise<void> {
  try {
    await read(shelf, file, each, stopping)
  } catch (error) {
    throw error instanceof FileProblem ? damaged(shelf.absolute(error.message), error) : error
  }
}

/**
 * What is wrong with a file, beginning with its path; `undefined`: it is what its manifest describes. Without `each`, lines are counted but
 * not kept.
 */
export function problemOf(shelf: Shelf, file: RowsFile, stopping?: AbortSignal, each?: Each): Promise<string | undefined> {
  return problemIn(read(shelf, file, each, stopping))
}

/** The same by the compressed bytes alone: nothing is decompressed. */
export function alterationOf(shelf: Shelf, file: RowsFile, stopping?: AbortSignal): Promise<string | undefined> {
  return problemIn(unaltered(shelf, file, stopping, () => Promise.resolve()))
}

async function problemIn(reading: Promise<void>): Promise<string | undefined> {
  try {
    await reading
    return undefined
  } catch (error) {
    const problem = error instanceof FileProblem ? error.message : refusedIn(error)
    if (problem === undefined) throw error
    return problem
  }
}

/** The message begins with the file's path. */
class FileProblem extends Error {
  override readonly name = 'FileProblem'

  constructor({ path }: RowsFile, what: string) {
    super(`${path}: ${what}`)
  }
}

export const ALTERED = 'was altered after it was written'
const MISDESCRIBED = 'does not hold the rows that its manifest describes'

function read(shelf: Shelf, file: RowsFile, each: Each | undefined, stopping: AbortSignal | undefined): Promise<void> {
  return unaltered(shelf, file, stopping, (opened) => unpack(opened, file, each, stopping))
}

/** Opens the file for `use` only if it has the size and the digest of its manifest. */
async function unaltered(
  shelf: Shelf,
  file: RowsFile,
  stopping: AbortSignal | undefined,
  use: (opened: OpenFile) => Promise<void>,
): Promise<void> {
  const opened = await shelf.open(file.path)
  if (opened === undefined) throw new FileProblem(file, 'is missing')
  try {
    if (opened.bytes !== file.fileBytes || (await digestOf(opened, stopping)) !== file.fileSha256) throw new FileProblem(file, ALTERED)
    await use(opened)
  } finally {
    await opened.close()
  }
}

async function digestOf(opened: OpenFile, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of opened.chunks('reused')) {
    signal?.throwIfAborted()
    hash.update(chunk)
  }
  return hash.digest('hex')
}

async function unpack(opened: OpenFile, file: RowsFile, each: Each | undefined, signal: AbortSignal | undefined): Promise<void> {
  const packed = createHash('sha256')
  const unpacked = createHash('sha256')
  const lines = new Lines(file, each)
  try {
    await pipeline(
      opened.chunks(),
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          packed.update(chunk)
          yield chunk
        }
      },
      createZstdDecompress({ chunkSize: CHUNK_BYTES, params: { [constants.ZSTD_d_windowLogMax]: MOST_WINDOW_LOG } }),
      async (chunks: AsyncIterable<Buffer>) => {
        for await (const chunk of chunks) {
          unpacked.update(chunk)
          await lines.add(chunk)
        }
      },
      { signal },
    )
  } catch (error) {
    throw isOfZstd(error) ? new FileProblem(file, `${MISDESCRIBED} (${messageOf(error)})`) : error
  }
  // Somebody may have written to the file since its digest was taken.
  if (packed.digest('hex') !== file.fileSha256) throw new FileProblem(file, ALTERED)
  if (unpacked.digest('hex') !== file.rowsSha256 || lines.count !== file.rows) throw new FileProblem(file, MISDESCRIBED)
}

/** Splits the decompressed bytes into lines, and fails at the first byte or line too many. */
class Lines {
  readonly #file: RowsFile
  readonly #each: Each | undefined
  #rest: Buffer[] = []
  #restBytes = 0
  /** Takes the place of `#rest` for a long line. It is reused. */
  #long: Buffer | undefined
  #bytes = 0
  #count = 0

  constructor(file: RowsFile, each: Each | undefined) {
    this.#file = file
    this.#each = each
  }

  get count(): number {
    return this.#count
  }

  async add(chunk: Buffer): Promise<void> {
    this.#bytes += chunk.length
    if (this.#bytes > this.#file.bytes) throw new FileProblem(this.#file, MISDESCRIBED)
    let from = 0
    for (let end = chunk.indexOf(LINE_FEED); end !== -1; end = chunk.indexOf(LINE_FEED, from)) {
      const piece = chunk.subarray(from, end)
      this.#mustFit(piece)
      if (this.#count === this.#file.rows) throw new FileProblem(this.#file, MISDESCRIBED)
      if (this.#each !== undefined) {
        await this.#each(this.#whole(piece), this.#count)
      }
      this.#restBytes = 0
      this.#count += 1
      from = end + 1
    }
    if (from === chunk.length) return
    const piece = chunk.subarray(from)
    this.#mustFit(piece)
    if (this.#each !== undefined) this.#keep(piece)
    this.#restBytes += piece.length
  }

  #whole(last: Buffer): Buffer {
    if (this.#restBytes === 0) return last
    if (this.#restBytes > LONG_BYTES) {
      last.copy(this.#long!, this.#restBytes)
      return this.#long!.subarray(0, this.#restBytes + last.length)
    }
    const line = Buffer.concat([...this.#rest, last])
    this.#rest = []
    return line
  }

  #keep(piece: Buffer): void {
    if (this.#restBytes + piece.length <= LONG_BYTES) {
      this.#rest.push(Buffer.from(piece))
      return
    }
    // Allocating the maximum is cheap: the system provides memory only as it is written to.
    this.#long ??= Buffer.allocUnsafeSlow(Math.min(LONGEST_ROW_BYTES, this.#file.bytes))
    let at = 0
    for (const each of this.#rest) at += each.copy(this.#long, at)
    this.#rest = []
    piece.copy(this.#long, this.#restBytes)
  }

  #mustFit({ length }: Buffer): void {
    if (this.#restBytes + length > LONGEST_ROW_BYTES)
      throw new FileProblem(this.#file, `holds a row of more than ${LONGEST_ROW}, which is not read`)
  }
}

const LINE_FEED = 0x0a

/** Errors of zstd about bytes that it cannot decompress. */
function isOfZstd(error: unknown): boolean {
  return /^(?:ZSTD_|Z_|ERR_ZSTD)/.test(codeOf(error) ?? '')
}
