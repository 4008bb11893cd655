import { spawn } from 'node:child_process'
import { copyFile, mkdir, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { randomOf } from '../faults/random.ts'
import { Disk } from './disk.ts'
import { fingerprint, readFolder, writeFolder, type Tree } from './folder.ts'
import { stateOf } from './models.ts'
import { readTrace, straceWords, type Operation } from './trace.ts'
import { perform, Site, type Circumstances, type JournalMode, type Work } from './work.ts'

const RECORDED = fileURLToPath(new URL('recorded.ts', import.meta.url))

/** A piece of work, and what is there before it begins. */
export interface Scenario {
  readonly name: string
  readonly work: Work
  readonly link?: string
  readonly prepare: (site: Site) => Promise<void>
}

export interface Recording {
  readonly scenario: Scenario
  readonly image: Tree
  readonly operations: readonly Operation[]
}

const ARCHIVING: Work = { kind: 'purge', archived: true }
const PLAIN: Work = { kind: 'purge', archived: false }
const EXPIRING: Work = { kind: 'purge', archived: true, keptDays: 365 }
const ROWS = 120
const KEPT_ROWS = 20
const LINK = 'link.db'

const OF_EACH_MODE: readonly ((mode: JournalMode) => Scenario)[] = [
  (mode) => ({ name: 'first run', work: ARCHIVING, prepare: (site) => filled(site, mode) }),
  (mode) => ({
    name: 'killed deleting',
    work: ARCHIVING,
    async prepare(site) {
      await filled(site, mode)
      await killed(site, { hour: 0, diesAfterRows: 70 })
    },
  }),
  (mode) => ({
    name: 'killed publishing',
    work: ARCHIVING,
    async prepare(site) {
      await filled(site, mode)
      await killed(site, { hour: 0, diesBeforePublishing: true })
    },
  }),
  (mode) => ({
    name: 'expired files',
    work: EXPIRING,
    async prepare(site) {
      await site.make(mode)
      site.fill(60, 400, 2)
      site.fill(KEPT_ROWS, 5)
      await perform(ARCHIVING, site, { hour: 0 })
      site.fill(60, 95, 2)
    },
  }),
  (mode) => ({
    name: 'by a link',
    work: ARCHIVING,
    link: LINK,
    async prepare(site) {
      await filled(site, mode)
      await symlink('data/gateway.db', join(site.folder, LINK))
    },
  }),
  (mode) => ({ name: 'plain purge', work: PLAIN, prepare: (site) => filled(site, mode) }),
  (mode) => ({ name: 'beside a gateway', work: { ...ARCHIVING, gateway: true }, prepare: (site) => filled(site, mode) }),
  (mode) => ({
    name: 'migration',
    work: { kind: 'migrate' },
    async prepare(site) {
      await site.make(mode, 1)
      site.fill(KEPT_ROWS, 5)
    },
  }),
  (mode) => ({
    name: 'restore',
    work: { kind: 'restore' },
    async prepare(site) {
      await filled(site, mode)
      await perform(ARCHIVING, site, { hour: 0 })
    },
  }),
  (mode) => ({
    name: 'reconcile',
    work: { kind: 'reconcile' },
    async prepare(site) {
      await filled(site, mode)
      await perform(ARCHIVING, site, { hour: -2 })
      // Of the files that the database will not know, it has all rows of the first, some of the second, and none of the third.
      site.fill(60, 96, 1)
      site.fill(20, 95, 1)
      const backup = `${site.file}.backup`
      await copyFile(site.file, backup)
      site.fill(20, 95, 1)
      site.fill(40, 94, 1)
      await perform(ARCHIVING, site, { hour: 0 })
      await copyFile(backup, site.file)
      await rm(backup)
    },
  }),
]

const TEXTFILE: Scenario = {
  name: 'textfile',
  work: { kind: 'textfile' },
  async prepare(site) {
    await mkdir(join(site.folder, 'data'), { recursive: true })
    await perform({ kind: 'textfile' }, site, { hour: 0 })
  },
}

export const SCENARIOS: readonly Scenario[] = [
  ...(['WAL', 'DELETE'] as const).flatMap((mode) =>
    OF_EACH_MODE.map((make) => make(mode)).map((scenario) => ({
      ...scenario,
      name: `${scenario.name}, ${mode === 'WAL' ? 'write-ahead log' : 'rollback journal'}`,
    })),
  ),
  TEXTFILE,
]

async function filled(site: Site, mode: JournalMode): Promise<void> {
  await site.make(mode)
  site.fill(ROWS, 94)
  site.fill(KEPT_ROWS, 5)
}

async function killed(site: Site, circumstances: Circumstances): Promise<void> {
  const ended = await inChild(site, ARCHIVING, circumstances)
  if (ended !== 'SIGKILL') throw new Error(`the run before was to be killed, and ended with ${ended}`)
}

/** Does the work in a process of its own, below `folder`, and reads what strace has seen of it. Rejects if that is not the whole. */
export async function record(scenario: Scenario, folder: string): Promise<Recording> {
  const place = join(folder, 'recorded')
  const trace = join(folder, 'trace')
  const site = new Site(place)
  await mkdir(place, { recursive: true, mode: 0o700 })
  await scenario.prepare(site)
  const image = await readFolder(place)
  // A process that was killed leaves shared memory behind, and a machine does not.
  await rm(place, { recursive: true })
  await writeFolder(place, image)
  const circumstances = { hour: 1, ...(scenario.link === undefined ? {} : { link: scenario.link }) }
  const ended = await inChild(site, scenario.work, circumstances, ['strace', ...straceWords(trace)])
  if (ended !== 0) throw new Error(`the recorded work ended with ${ended}`)
  const operations = await readTrace(trace, place)
  const disk = new Disk(image)
  for (const operation of operations) disk.apply(operation)
  if (fingerprint(stateOf(disk, 'kill', randomOf(0, ''))) !== fingerprint(await readFolder(place)))
    throw new Error('replaying the recording does not give the folder that the run has left')
  await rm(place, { recursive: true })
  await rm(trace)
  return { scenario, image, operations }
}

function inChild(
  site: Site,
  work: Work,
  circumstances: Circumstances,
  under: readonly string[] = [],
): Promise<number | NodeJS.Signals | null> {
  const words = [...under, process.execPath, RECORDED, site.folder, JSON.stringify(work), JSON.stringify(circumstances)]
  const child = spawn(words[0]!, words.slice(1), {
    // Files are then written by system calls alone.
    env: { ...process.env, UV_USE_IO_URING: '0' },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve(signal ?? code))
  })
}
