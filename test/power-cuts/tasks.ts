import { mkdtemp, rm } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { POSTGRES_MAJORS } from '../support/postgres-server.ts'
import { writeFolder } from './folder.ts'
import { Judge, type Violation } from './judge.ts'
import { record, SCENARIOS } from './recordings.ts'
import { crashServer } from './server-crashes.ts'
import { FULL, judgedStates, SOME, withoutSync, type Judged } from './states.ts'
import { placesOf, SYNCS } from './syncs.ts'

/** What one process does at a time. */
export interface Task {
  readonly name: string
  readonly seed: number
  readonly full: boolean
}

/** What came of it. */
export interface Report {
  readonly states: number
  readonly crashes: number
  readonly violations: readonly Violation[]
  /** How many kinds of syncs were dropped in turn, and those of them that nobody missed. */
  readonly dropped: number
  readonly needless: readonly string[]
  /** For people. */
  readonly lines: readonly string[]
}

const SYNC_TASKS = [...new Set(SYNCS.map(({ missedIn }) => missedIn))].map((scenario) => `without syncs: ${scenario}`)
const SERVER_TASKS = POSTGRES_MAJORS.map((major) => `postgres ${major}`)

/** Those that take longest come first. */
export const TASK_NAMES: readonly string[] = [...SERVER_TASKS, ...SCENARIOS.map(({ name }) => name), ...SYNC_TASKS]

/** Without it there are no recordings. */
export function needsStrace(name: string): boolean {
  return !SERVER_TASKS.includes(name)
}

const CRASHES = { some: 6, full: 200 }
/** So many states without a violation show that a sync is needless. */
const MOST_STATES_WITHOUT_SYNC = 400

export async function carryOut({ name, seed, full }: Task): Promise<Report> {
  const major = POSTGRES_MAJORS.find((each) => name === `postgres ${each}`)
  if (major !== undefined) return await onServer(major, full ? CRASHES.full : CRASHES.some, seed)
  // In memory if possible: what counts is what was synced, and not that it takes time.
  const folder = await mkdtemp(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'power-cuts-'))
  try {
    const scenario = SCENARIOS.find((each) => name.endsWith(each.name))!
    const recording = await record(scenario, folder)
    const judge = await Judge.of(recording, folder)
    if (name !== scenario.name) return await withoutSyncs(recording, judge, seed)
    const violations: Violation[] = []
    const lines: string[] = []
    let states = 0
    for await (const judged of judgedStates(recording, judge, full ? FULL : SOME, seed)) {
      states += 1
      if (judged.verdicts.length === 0) continue
      violations.push(...judged.verdicts.map(({ violation }) => violation))
      if (lines.length < MOST_LINES) lines.push(`${textOf(judged)}; the folder is in ${await kept(judged)}`)
    }
    return { ...NOTHING, states, violations, lines: [`${states} states of ${recording.operations.length} operations`, ...lines] }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const NOTHING = { states: 0, crashes: 0, violations: [], dropped: 0, needless: [], lines: [] } as const
const MOST_LINES = 5

async function onServer(major: (typeof POSTGRES_MAJORS)[number], wanted: number, seed: number): Promise<Report> {
  const { crashes, undone, violations } = await crashServer(major, wanted, seed)
  return {
    ...NOTHING,
    crashes,
    violations: violations.map(({ violation }) => violation),
    lines: [`${crashes} crashes, ${undone} of which undid commits`, ...violations.map(({ violation, what }) => `${violation}: ${what}`)],
  }
}

async function withoutSyncs(recording: Awaited<ReturnType<typeof record>>, judge: Judge, seed: number): Promise<Report> {
  const needless: string[] = []
  const lines: string[] = []
  const kinds = SYNCS.filter(({ missedIn }) => missedIn === recording.scenario.name)
  for (const sync of kinds) {
    const { states, found } = await withoutSync(recording, judge, { sync, most: MOST_STATES_WITHOUT_SYNC, seed })
    if (found === undefined) needless.push(sync.name)
    const outcome = found === undefined ? `not missed in ${states} states` : `missed in state ${states}: ${textOf(found)}`
    lines.push(`${sync.name}, ${placesOf(sync, recording.operations).size} times: ${outcome}`)
  }
  return { ...NOTHING, dropped: kinds.length, needless, lines }
}

function textOf({ model, cut, behind, verdicts }: Judged): string {
  const [first] = verdicts
  return `${first!.violation} (${model}, cut ${cut}, behind ${behind}): ${first!.what.slice(0, 200)}`
}

async function kept({ state }: Judged): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'power-cut-'))
  await writeFolder(folder, state)
  return folder
}
