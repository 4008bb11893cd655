import { cp, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import type BetterSqlite3 from 'better-sqlite3'
import { DAY, HOUR, hostClock } from '../../src/time/clock.ts'
import { verified } from '../archive/support.ts'
import { opened } from '../runs/support.ts'
import { writeFolder, type Tree } from './folder.ts'
import type { Recording } from './recordings.ts'
import { countIn, NOON, perform, Site, type Work } from './work.ts'

/** What must not come of a power cut. */
export type Violation = 'lost' | 'double' | 'needs a person' | 'damaged' | 'not done'

export interface Verdict {
  readonly violation: Violation
  readonly what: string
}

/** Judges states of one recording, each in a folder that it makes anew. */
export class Judge {
  readonly #recording: Recording
  readonly #folder: string
  readonly #before: Contents
  readonly #after: Contents

  private constructor(recording: Recording, folder: string, before: Contents, after: Contents) {
    this.#recording = recording
    this.#folder = folder
    this.#before = before
    this.#after = after
  }

  /** `folder`: for everything that it writes. */
  static async of(recording: Recording, folder: string): Promise<Judge> {
    const { work, link } = recording.scenario
    const site = await siteOf(recording.image, join(folder, 'whole'))
    const before = await contentsOf(site, work)
    await perform(work, site, { hour: 1, ...(link === undefined ? {} : { link }) })
    const after = await contentsOf(site, work)
    await rm(site.folder, { recursive: true })
    return new Judge(recording, folder, before, after)
  }

  /** The work is done once more, and then everything must be as if nothing had happened. `ended`: the work had ended before the cut. */
  async verdictsOn(state: Tree, ended: boolean): Promise<readonly Verdict[]> {
    const { scenario } = this.#recording
    const { work, link } = scenario
    const site = await siteOf(state, join(this.#folder, 'state'))
    const verdicts: Verdict[] = []
    const note = (violation: Violation, what: string): void => void verdicts.push({ violation, what: what.replaceAll(site.folder, '') })
    try {
      if (work.kind === 'textfile') return textfileVerdicts(site, ended)
      const found = await this.#asFound(site, note)
      if (ended) this.#compareWork(found, note, 'after the work had ended, ')
      try {
        await perform(work, site, { hour: 2, ...(link === undefined ? {} : { link }) })
        if (work.kind === 'reconcile') await perform({ kind: 'purge', archived: true }, site, { hour: 3 })
      } catch (error) {
        note('needs a person', `one more run: ${textOf(error)}`)
      }
      this.#compare(await contentsOf(site, work), found, note)
      if (work.kind !== 'migrate' && !(work.kind === 'purge' && !work.archived)) await verify(site, note)
    } catch (error) {
      note('damaged', textOf(error))
    } finally {
      await rm(site.folder, { recursive: true, force: true })
    }
    return verdicts
  }

  /** What the work reports as done when it ends. */
  #compareWork({ restored, schema }: Contents, note: (violation: Violation, what: string) => void, when = ''): void {
    const wanted = this.#after.restored
    if (restored.join() !== wanted.join())
      note(restored.length > wanted.length ? 'double' : 'not done', `${when}${restored.length} of ${wanted.length} rows are restored`)
    if (schema.join() !== this.#after.schema.join()) note('not done', `${when}the schema is not that of all migrations`)
  }

  /** Looks at a copy, because opening a database repairs it. */
  async #asFound(site: Site, note: (violation: Violation, what: string) => void): Promise<Contents> {
    const copy = new Site(join(this.#folder, 'copy'))
    await cp(site.folder, copy.folder, { recursive: true, verbatimSymlinks: true })
    try {
      const sound = copy.sql((database) => database.pragma('integrity_check', { simple: true }))
      if (sound !== 'ok') note('damaged', `the database: ${String(sound)}`)
      return await contentsOf(copy, this.#recording.scenario.work)
    } finally {
      await rm(copy.folder, { recursive: true, force: true })
    }
  }

  #compare(now: Contents, found: Contents, note: (violation: Violation, what: string) => void): void {
    const { work } = this.#recording.scenario
    const archived = work.kind !== 'migrate' && !(work.kind === 'purge' && !work.archived)
    const lost: number[] = []
    const double: number[] = []
    const left: number[] = []
    for (const [id, expired] of this.#before.rows) {
      const copies = Number(now.rows.has(id)) + (now.files.get(id) ?? 0)
      if (!expired || work.kind === 'migrate') (now.rows.has(id) ? [] : lost).push(id)
      else if (archived && copies === 0 && !now.unpublished.has(id)) lost.push(id)
      else if (copies > 1) double.push(id)
      else if (now.rows.has(id)) left.push(id)
    }
    for (const id of this.#before.files.keys()) {
      const wanted = this.#after.files.has(id) || work.kind === 'reconcile'
      if (this.#before.rows.has(id)) continue
      if (wanted && !now.files.has(id) && !now.rows.has(id)) lost.push(id)
      if ((now.files.get(id) ?? 0) > 1) double.push(id)
      if (!wanted && now.files.has(id)) left.push(id)
    }
    // What the gateway had written and is on the disk.
    for (const [id, expired] of found.rows) if (!expired && !now.rows.has(id)) lost.push(id)
    if (lost.length > 0) note('lost', `${lost.length} rows, ${lost[0]} first`)
    if (double.length > 0) note('double', `${double.length} rows, ${double[0]} first`)
    if (left.length > 0) note('not done', `${left.length} rows or copies are left, ${left[0]} first`)
    this.#compareWork(now, note)
  }
}

async function siteOf(tree: Tree, folder: string): Promise<Site> {
  await rm(folder, { recursive: true, force: true })
  await writeFolder(folder, tree)
  return new Site(folder)
}

/** By the ids of the rows. */
interface Contents {
  /** Whether each row of the table has expired. */
  readonly rows: ReadonlyMap<number, boolean>
  /** In how many published files each row is. */
  readonly files: ReadonlyMap<number, number>
  readonly unpublished: ReadonlySet<number>
  readonly restored: readonly number[]
  readonly schema: readonly string[]
}

const CUTOFF = new Date(NOON - 90 * DAY + HOUR).toISOString().replace('T', ' ').slice(0, 19)

async function contentsOf(site: Site, work: Work): Promise<Contents> {
  const nothing = { rows: new Map(), files: new Map(), unpublished: new Set<number>(), restored: [], schema: [] }
  if (work.kind === 'textfile') return nothing
  const ofDatabase = site.sql((database) => ({
    rows: new Map(
      (database.prepare('SELECT id, timestamp < ? AS expired FROM audit_logs').all(CUTOFF) as { id: number; expired: number }[]).map(
        ({ id, expired }) => [id, expired === 1] as const,
      ),
    ),
    restored: hasTable(database, 'audit_logs_restored')
      ? (database.prepare('SELECT id FROM audit_logs_restored ORDER BY id').pluck().all() as number[])
      : [],
    schema:
      work.kind === 'migrate'
        ? (database.prepare("SELECT type || ' ' || name FROM sqlite_schema ORDER BY 1").pluck().all() as string[])
        : [],
  }))
  const files = new Map<number, number>()
  const unpublished = new Set<number>()
  for (const name of (await readdir(site.archive, { recursive: true }).catch(() => [])).filter((each) => each.endsWith('.zst'))) {
    if (name.startsWith('reconciled/')) continue
    const isPublished = !name.includes('.writing/')
    for (const id of idsIn(await readFile(join(site.archive, name)), isPublished))
      if (isPublished) files.set(id, (files.get(id) ?? 0) + 1)
      else unpublished.add(id)
  }
  return { ...ofDatabase, files, unpublished }
}

/** A file in the spool may be unfinished. */
function idsIn(bytes: Buffer, isPublished: boolean): readonly number[] {
  try {
    const lines = zstdDecompressSync(bytes).toString().split('\n').slice(0, -1)
    return lines.map((line) => (JSON.parse(line) as { id: number }).id)
  } catch (error) {
    if (isPublished) throw error
    return []
  }
}

function hasTable(database: BetterSqlite3.Database, name: string): boolean {
  return database.prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?").get(name) !== undefined
}

async function verify(site: Site, note: (violation: Violation, what: string) => void): Promise<void> {
  await using database = await opened(`sqlite:///${site.file}`, hostClock())
  const { problems, pending } = await verified(database, site.archive)
  if (problems.length > 0) note('needs a person', `archive verify: ${problems.length} problems, ${problems[0]}`)
  if (pending > 0) note('not done', `${pending} files are pending`)
}

/** It is what it was or what it should become; and that, if the process had ended. */
function textfileVerdicts(site: Site, ended: boolean): readonly Verdict[] {
  try {
    const count = countIn(site)
    if (count === 2 || (count === 1 && !ended)) return []
    return [{ violation: ended ? 'not done' : 'lost', what: `the counter is ${count}` }]
  } catch (error) {
    return [{ violation: 'damaged', what: textOf(error) }]
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
