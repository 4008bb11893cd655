import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { circlesOf, importGraph, wayTo } from './import-graph.ts'
import { readSourceFiles, sourceFile, type SourceFile } from './source-files.ts'

/** From the top: a file imports its own room and rooms above it. Those on one line are siblings and never import each other. */
const ROOMS: readonly (readonly string[])[] = [
  ['errors.ts', 'files.ts', 'edit-distance.ts', 'number-text.ts', 'secrets', 'time'],
  ['catalogue.ts'],
  ['policy', 'receipts'],
  ['database'],
  ['migrations', 'schedule', 'purge'],
  ['archive'],
  ['runs'],
  ['status', 'subject'],
  ['observe'],
  ['http'],
  ['config'],
  ['doctor'],
  ['program.ts', 'shutdown.ts'],
  ['terminal'],
  ['commands'],
  ['cli'],
  ['main.ts'],
]

/** These lines are one room, whose members see each other. */
const ONE_ROOM: readonly (readonly string[])[] = [ROOMS[0]!, ROOMS[12]!]

/** What purges does not know how rows are exported: a reader is handed in, and its type stands in the boundary. */
const PURGING = /^database\/\w+\/purging\//
const EXPORTING = /^database\/(\w+\/)?exporting\//

/** Each package has one door. */
const DOORS: Readonly<Record<string, RegExp>> = {
  pg: /^database\/postgres\//,
  'pg-copy-streams': /^database\/postgres\/connection\/driver\.ts$/,
  'better-sqlite3': /^database\/sqlite\//,
  'node-cron': /^schedule\/cron\.ts$/,
  cronstrue: /^schedule\/in-words\.ts$/,
  convict: /^config\//,
  yaml: /^config\//,
  pino: /^observe\/log\.ts$/,
  'prom-client': /^observe\/metrics\.ts$/,
  'pino-pretty': /^observe\/log\.ts$/,
  '@aws-sdk/client-s3': /^archive\/store\/s3-requests\.ts$/,
}

const FILES = readSourceFiles('src')
const GRAPH = importGraph(FILES)

describe('the rooms of src/', () => {
  it('every file has a place in a room', () => {
    assert.ok(FILES.length > 20)
    assert.deepEqual(
      FILES.filter(({ path }) => lineOf(path) === -1).map(({ path }) => path),
      [],
    )
  })

  it('no import goes to a room below or beside', () => {
    assert.deepEqual(FILES.flatMap(wrongSteps), [])
  })

  it('no import goes from one engine to the other', () => {
    assert.deepEqual(FILES.flatMap(engineCrossings), [])
  })

  it('each package is imported only in its one file', () => {
    assert.deepEqual(FILES.flatMap(wrongDoors), [])
  })

  it('each file has a unique name, unless it is a twin of the other engine’s', () => {
    const byName = Map.groupBy(FILES, ({ path }) => path.split('/').at(-1)!)
    const twice = [...byName.values()].flatMap((files) => {
      const paths = files.map(({ path }) => path)
      return new Set(paths.map((path) => path.replace(/^database\/(postgres|sqlite)\//, 'database/*/'))).size === 1
        ? []
        : [paths.join(' and ')]
    })
    assert.deepEqual(twice, [])
  })

  it('an import in the wrong direction is found, however it is written', () => {
    assert.equal(steps('database/a.ts', "import { x } from '../runs/run-job.ts'"), 1)
    assert.equal(steps('database/a.ts', "import type { X } from '../runs/run-job.ts'"), 1)
    assert.equal(steps('database/a.ts', "export * from '../runs/run-job.ts'"), 1)
    assert.equal(steps('database/a.ts', "export type { X } from '../runs/run-job.ts'"), 1)
    assert.equal(steps('database/a.ts', "import '../runs/run-job.ts'"), 1)
    assert.equal(steps('database/a.ts', "const x = await import('../runs/run-job.ts')"), 1)
    assert.equal(steps('database/a.ts', "type X = import('../runs/run-job.ts').X"), 1)
    assert.equal(steps('schedule/a.ts', "import { x } from '../purge/cutoff.ts'"), 1)
    assert.equal(steps('runs/a.ts', "import { x } from '../purge/cutoff.ts'"), 0)
    assert.equal(steps('database/a.ts', "// import { x } from '../runs/run-job.ts'"), 0)
    assert.equal(steps('database/a.ts', "const text = `import { x } from '../runs/run-job.ts'`"), 0)
    assert.equal(engineCrossings(sourceFile('database/sqlite/a.ts', "import { x } from '../postgres/times.ts'")).length, 1)
    assert.equal(wrongDoors(sourceFile('runs/a.ts', "import pg from 'pg'")).length, 1)
  })
})

describe('the imports', () => {
  it('the imports of src/ and of bench/ have no cycle, types included', () => {
    assert.deepEqual(circlesOf(GRAPH), [])
    assert.deepEqual(circlesOf(importGraph(readSourceFiles('bench'))), [])
  })

  it('the imports of purging code do not lead to exporting code, not even through others', () => {
    assert.ok(FILES.some(({ path }) => PURGING.test(path)) && FILES.some(({ path }) => EXPORTING.test(path)))
    assert.deepEqual(reaches(FILES), [])
  })

  it('a cycle and a path through a third file are found', () => {
    const circle = [planted('a.ts', './b.ts'), planted('b.ts', './c.ts'), planted('c.ts', './a.ts')]
    assert.deepEqual(circlesOf(importGraph(circle)), ['a.ts → b.ts → c.ts → a.ts'])
    const reach = [
      planted('database/sqlite/purging/a.ts', '../helper.ts'),
      planted('database/sqlite/helper.ts', './exporting/b.ts'),
      planted('database/sqlite/exporting/b.ts', '../open.ts'),
    ]
    assert.deepEqual(reaches(reach), ['database/sqlite/purging/a.ts → database/sqlite/helper.ts → database/sqlite/exporting/b.ts'])
  })
})

function planted(path: string, target: string): SourceFile {
  return sourceFile(path, `import type { X } from '${target}'`)
}

function reaches(files: readonly SourceFile[]): string[] {
  const graph = importGraph(files)
  return files
    .filter(({ path }) => PURGING.test(path))
    .flatMap(({ path }) => wayTo(graph, path, (target) => EXPORTING.test(target))?.join(' → ') ?? [])
}

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
  const engine = /^database\/(postgres|sqlite)\//.exec(path)?.[1]
  if (engine === undefined) return []
  return imports
    .filter(({ target }) => {
      const other = /^database\/(postgres|sqlite)\//.exec(target)?.[1]
      return other !== undefined && other !== engine
    })
    .map(({ target }) => `${path} imports ${target}`)
}

function wrongDoors({ path, imports }: SourceFile): string[] {
  return imports.filter(({ ours, target }) => !ours && DOORS[target]?.test(path) !== true).map(({ target }) => `${path} imports ${target}`)
}
