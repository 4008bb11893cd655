import { createHash } from 'node:crypto'
import { MaintenanceError, messageOf } from '../../errors.ts'
import { someClauses } from '../../number-text.ts'
import { concurrently } from '../concurrently.ts'
import { archiveFailed, ArchiveError } from '../damage.ts'
import type { RowsFile } from '../format.ts'
import { readChain } from '../read/chain.ts'
import type { Look } from '../read/look.ts'
import { rowsOf, type ArchivePath } from '../store/path.ts'
import type { OpenFile, Spool, Store } from '../store/store.ts'
import { chainOf, type CopiedChain, type Piece } from './copied-chain.ts'
import { foreignPlace, manifestProblems, rowsProblems, whatIsAt } from './copy-target.ts'

export interface CopyOptions {
  readonly source: Store
  readonly target: Store
  /** Takes no file of a run that archives to the target. */
  readonly spool: Spool
  /** At the source, as the database knows it. */
  readonly look: () => Promise<Look>
  /** Paths that count as nothing at the target; see `DiscardedFiles`. */
  readonly ignored: () => Promise<ReadonlySet<ArchivePath>>
  /** Called before files of rows that the target has are read. */
  readonly reading: (files: readonly RowsFile[]) => void
  /** Called before files of rows are copied. */
  readonly copying: (files: readonly RowsFile[]) => void
  readonly stopping: AbortSignal
}

export interface Copied {
  readonly chain: CopiedChain
  /** The files of rows that were copied this time, and their bytes. */
  readonly files: number
  readonly bytes: number
  /** Those that had expired at the source and were removed from the target. */
  readonly removed: number
  /** Pending files, of a run that is working or was interrupted: they are not part of the chain yet, and were not copied. */
  readonly pending: number
}

/** A run may remove expired files meanwhile, so that a copy has to begin again with a younger chain. */
const MOST_PASSES = 5
/** So many bytes of rows, or pieces, are written before they are published together; a file has a third of what a spool must take. */
const BATCH_BYTES = 16 * 2 ** 20
const BATCH_PIECES = 16
/** Over a network, one after the other would take long for small files; each may take some megabytes of memory. */
const COPIED_AT_ONCE = 4

/** Copies an archive to another place. The source stays as it is, and so do files at the target: what is there is never replaced. */
export class ArchiveCopy {
  readonly #options: CopyOptions
  /** Files of rows at the target whose content was found right. */
  readonly #right = new Set<ArchivePath>()
  #files = 0
  #bytes = 0
  #removed = 0

  constructor(options: CopyOptions) {
    this.#options = options
  }

  /**
   * Copies what the target lacks of the chain, and reads all of it back there; what an earlier call has read is not read again. Can be interrupted anywhere, and
   * repeated.
   */
  async complete(): Promise<Copied> {
    const { source, target } = this.#options
    try {
      for (let pass = 1; ; pass += 1) {
        const copied = await this.#pass()
        if (typeof copied !== 'string') return copied
        if (pass === MOST_PASSES)
          throw archiveFailed(`${source.absolute(copied)} is missing each time, and the database says that it is there`)
      }
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error
      throw new MaintenanceError(
        error.code,
        `the copy to ${target.root}: ${error.problem}. The archive is as it was, and the copy is not complete. ` +
          `${error.advice ?? `Check that both places can be reached, and that ${target.root} is writable and has free space`}; then copy again, which goes on from there`,
        { cause: error },
      )
    }
  }

  /** A path: a file was there when the pass began, and is no longer. */
  async #pass(): Promise<Copied | ArchivePath> {
    const { source, target, spool, look, stopping } = this.#options
    const seen = await look()
    if (seen.problems.length > 0) throw unsound(source, seen.problems)
    const chain = chainOf(seen)
    if (chain === undefined) throw nothingToCopy(source)
    const ignored = await this.#options.ignored()
    const had = await whatIsAt(target, chain, ignored)
    if (had.foreign.length > 0) throw foreignPlace(target, had.foreign)
    await this.#mustBeRight(chain, had.paths)
    const lacks = chain.pieces.filter(
      ({ link, file }) => !had.paths.has(link.manifest) || (file !== undefined && !had.paths.has(file.path)),
    )
    this.#options.copying(lacks.flatMap(({ file }) => (file === undefined || had.paths.has(file.path) ? [] : [file])))
    await target.make()
    await spool.clean('')
    for (const batch of batchesOf(lacks)) {
      stopping.throwIfAborted()
      const gone = await this.#copy(batch, chain, had.paths)
      if (gone !== undefined) return gone
    }
    // Not before all that the removals are for is there.
    const stay = await target.remove(had.expired)
    this.#removed += had.expired.length - stay.length
    await mustBeWhole(target, chain, ignored)
    return { chain, files: this.#files, bytes: this.#bytes, removed: this.#removed, pending: seen.state.step?.files.length ?? 0 }
  }

  /** Reads the files of rows that were at the target before, each once. */
  async #mustBeRight(chain: CopiedChain, paths: ReadonlySet<ArchivePath>): Promise<void> {
    const { target, reading, stopping } = this.#options
    const unread = [...chain.files.values()].filter(({ path }) => paths.has(path) && !this.#right.has(path))
    reading(unread)
    const problems = await rowsProblems(
      target,
      chain,
      unread.map(({ path }) => path),
      stopping,
    )
    if (problems.length > 0) throw foreignPlace(target, problems)
    for (const { path } of unread) this.#right.add(path)
  }

  /** Returns the path of a file that is no longer at the source; then nothing of the batch was published. */
  async #copy(batch: readonly Piece[], chain: CopiedChain, had: ReadonlySet<ArchivePath>): Promise<ArchivePath | undefined> {
    const { target, spool, stopping } = this.#options
    const files = batch.flatMap(({ file }) => (file === undefined || had.has(file.path) ? [] : [file]))
    const missing = [
      ...batch.flatMap(({ link }) => (had.has(link.manifest) ? [] : [{ path: link.manifest, sum: link.sha256 }])),
      ...files.map(({ path, fileSha256 }) => ({ path, sum: fileSha256 })),
    ]
    const gone: ArchivePath[] = []
    try {
      await concurrently(COPIED_AT_ONCE, missing, async ({ path, sum }) => {
        if (!(await this.#draft(path, sum))) gone.push(path)
      })
      if (gone.length > 0) return gone[0]
      await spool.sync()
      await spool.publish(missing.map(({ path }) => path))
    } finally {
      // What was published is no longer here.
      await spool.clean('').catch(() => undefined)
    }
    const problems = [
      ...(await rowsProblems(
        target,
        chain,
        files.map(({ path }) => path),
        stopping,
      )),
      ...(await Promise.all(batch.map(({ link }) => manifestProblems(target, link.manifest, link.sha256)))).flat(),
    ]
    if (problems.length > 0) throw archiveFailed(`${target.root} does not give back what was written there: ${someClauses(problems)}`)
    for (const { path, fileBytes } of files) {
      this.#right.add(path)
      this.#files += 1
      this.#bytes += fileBytes
    }
    return undefined
  }

  /** `false`: it is no longer at the source. Rejects if it is not what its digest says. */
  async #draft(path: ArchivePath, sum: string): Promise<boolean> {
    const { source, target, spool, stopping } = this.#options
    const opened = await source.open(path)
    if (opened === undefined) return false
    try {
      const hash = createHash('sha256')
      const handle = await spool.create(path)
      try {
        await handle.writeFile(hashed(opened, (chunk) => void hash.update(chunk), stopping))
        await handle.sync()
      } catch (error) {
        if (error instanceof MaintenanceError || stopping.aborted) throw error
        throw archiveFailed(`${path} cannot be written for ${target.absolute(path)}: ${messageOf(error)}`, error)
      } finally {
        await handle.close()
      }
      if (hash.digest('hex') !== sum) throw altered(source.absolute(path))
      return true
    } finally {
      await opened.close()
    }
  }
}

async function* hashed(opened: OpenFile, take: (chunk: Buffer) => void, stopping: AbortSignal): AsyncGenerator<Buffer> {
  for await (const chunk of opened.chunks('reused')) {
    stopping.throwIfAborted()
    take(chunk)
    yield chunk
  }
}

function* batchesOf(pieces: readonly Piece[]): Generator<readonly Piece[]> {
  let batch: Piece[] = []
  let bytes = 0
  for (const piece of pieces) {
    batch.push(piece)
    bytes += piece.file?.fileBytes ?? 0
    if (batch.length < BATCH_PIECES && bytes < BATCH_BYTES) continue
    yield batch
    batch = []
    bytes = 0
  }
  if (batch.length > 0) yield batch
}

/** Follows the chain at the target, as a run and `archive verify` will. The contents of its files were read before. */
async function mustBeWhole(target: Store, { head, files }: CopiedChain, ignored: ReadonlySet<ArchivePath>): Promise<void> {
  const facts = await target.facts()
  const { problems, strays, unvouched } = await readChain(
    target,
    (await target.list()).filter((path) => !ignored.has(path)),
    head,
  )
  const wrong = [
    ...problems,
    ...strays,
    ...unvouched.map(
      ({ manifest }) => `${rowsOf(manifest.manifest)}: a link between it and the head of the chain is missing or was altered`,
    ),
    ...[...files.values()].flatMap(({ path, fileBytes }) =>
      facts.get(path)?.bytes === fileBytes ? [] : [`${path}: ${facts.has(path) ? 'was altered after it was copied' : 'is missing'}`],
    ),
  ]
  if (wrong.length > 0) throw archiveFailed(`${target.root} was changed while files were copied to it: ${someClauses(wrong)}`)
}

function unsound(source: Store, problems: readonly string[]): MaintenanceError {
  return new MaintenanceError(
    'ARCHIVE_DAMAGED',
    `the archive in ${source.root} is damaged: ${someClauses(problems)}. Nothing was copied. Check that ARCHIVE_DIRECTORY is the place that runs write to, and ` +
      'restore what is wrong from a backup. `archive verify` names every file that is wrong',
  )
}

function altered(file: string): MaintenanceError {
  const problem = `${file} was altered after it was written`
  const advice = 'Restore it from its backup (`archive verify` names every file that is wrong)'
  return new ArchiveError('ARCHIVE_DAMAGED', { problem, consequence: advice, advice, cause: undefined })
}

function nothingToCopy(source: Store): MaintenanceError {
  return new MaintenanceError(
    'ARCHIVE_FAILED',
    `nothing was ever archived to ${source.root}, as far as this database knows, so nothing was copied. Set ARCHIVE_DIRECTORY to the new place`,
  )
}
