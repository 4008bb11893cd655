import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { readSourceFiles, sourceFile, type SourceFile } from './source-text.ts'

/** From the top: a file imports its own room and rooms above it. Rooms on one line are siblings and never import each other. */
const ROOMS: readonly (readonly string[])[] = [
  ['time.ts', 'errors.ts', 'files.ts', 'spellings.ts', 'foreign-text.ts', 'edit-distance.ts'],
  ['catalogue.ts'],
  ['database'],
  ['migrations', 'schedule', 'retention'],
  ['archive'],
  ['jobs'],
  ['status'],
  ['observe'],
  ['http'],
  ['config'],
  ['program.ts', 'shutdown.ts'],
  ['commands', 'terminal'],
  ['cli.ts'],
  ['main.ts'],
]

/** Files that share a line with these see each other; folders do not. */
const ONE_ROOM = [
  ['time.ts', 'errors.ts', 'files.ts', 'spellings.ts', 'foreign-text.ts', 'edit-distance.ts'],
  ['program.ts', 'shutdown.ts'],
  ['commands', 'terminal'],
]

/** Each package has one door. */
const DOORS: Readonly<Record<string, RegExp>> = {
  pg: /^database\//,
  'pg-copy-streams': /^database\/postgres\/driver\.ts$/,
  'better-sqlite3': /^database\//,
  'node-cron': /^schedule\/cron\.ts$/,
  'cli-table3': /^terminal\/table\.ts$/,
  'cli-progress': /^terminal\/bars\.ts$/,
  cronstrue: /^schedule\/words\.ts$/,
  convict: /^config\//,
  yaml: /^config\//,
  pino: /^observe\/log\.ts$/,
  'prom-client': /^observe\/metrics\.ts$/,
  'pino-pretty': /^observe\/log\.ts$/,
}

const FILES = readSourceFiles()

describe('the rooms of src/', () => {
  it('has a place for every file', () => {
    assert.ok(FILES.length > 20)
    assert.deepEqual(
      FILES.filter(({ path }) => lineOf(path) === -1).map(({ path }) => path),
      [],
    )
  })

  it('lets no import go to a room below or beside', () => {
    assert.deepEqual(FILES.flatMap(wrongSteps), [])
  })

  it('lets no import go from one engine to the other', () => {
    assert.deepEqual(FILES.flatMap(engineCrossings), [])
  })

  it('lets each package in by its one door', () => {
    assert.deepEqual(FILES.flatMap(wrongDoors), [])
  })

  it('sees a step the wrong way, however it is written', () => {
    assert.equal(steps('database/a.ts', "import { x } from '../jobs/run-job.ts'"), 1)
    assert.equal(steps('database/a.ts', "import type { X } from '../jobs/run-job.ts'"), 1)
    assert.equal(steps('database/a.ts', "export * from '../jobs/run-job.ts'"), 1)
    assert.equal(steps('database/a.ts', "import '../jobs/run-job.ts'"), 1)
    assert.equal(steps('database/a.ts', "const x = await import('../jobs/run-job.ts')"), 1)
    assert.equal(steps('schedule/a.ts', "import { x } from '../retention/rule.ts'"), 1)
    assert.equal(steps('jobs/a.ts', "import { x } from '../retention/rule.ts'"), 0)
    assert.equal(steps('database/a.ts', "// import { x } from '../jobs/run-job.ts'"), 0)
    assert.equal(steps('database/a.ts', "const text = `import { x } from '../jobs/run-job.ts'`"), 0)
    assert.equal(engineCrossings(sourceFile('database/sqlite/a.ts', "import { x } from '../postgres/times.ts'")).length, 1)
    assert.equal(wrongDoors(sourceFile('jobs/a.ts', "import pg from 'pg'")).length, 1)
  })
})

function steps(path: string, text: string): number {
  return wrongSteps(sourceFile(path, text)).length
}

function roomOf(path: string): string {
  return path.split('/')[0]!
}

function lineOf(path: string): number {
  return ROOMS.findIndex((line) => line.includes(roomOf(path)))
}

function wrongSteps({ path, imports }: SourceFile): string[] {
  const from = roomOf(path)
  return imports
    .filter(({ ours, target }) => {
      const to = roomOf(target)
      if (!ours || to === from) return false
      if (lineOf(target) === lineOf(path)) return !ONE_ROOM.some((room) => room.includes(from) && room.includes(to))
      return lineOf(target) > lineOf(path)
    })
    .map(({ target }) => `${path} imports ${target}`)
}

function engineCrossings({ path, imports }: SourceFile): string[] {
  const engine = /^database\/(\w+)\//.exec(path)?.[1]
  if (engine === undefined) return []
  return imports
    .filter(({ target }) => {
      const other = /^database\/(\w+)\//.exec(target)?.[1]
      return other !== undefined && other !== engine
    })
    .map(({ target }) => `${path} imports ${target}`)
}

function wrongDoors({ path, imports }: SourceFile): string[] {
  return imports.filter(({ ours, target }) => !ours && DOORS[target]?.test(path) !== true).map(({ target }) => `${path} imports ${target}`)
}
