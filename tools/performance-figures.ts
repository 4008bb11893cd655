import { readdirSync, readFileSync } from 'node:fs'
import { summaryOf, type Figure } from '../bench/figure.ts'
import type { Machine } from '../bench/machine.ts'
import { cellsOf, tablesOf } from '../bench/table.ts'

/** One run of the benchmark, as it wrote it. */
interface Run {
  readonly command: string
  readonly machine: Machine
  readonly engines: readonly string[]
  readonly repeats: number
  readonly seconds: number
  readonly notes: readonly string[]
  readonly figures: readonly Figure[]
}

const FOLDER = new URL('../bench/results/', import.meta.url)
/** What a run writes where no other file is named; it is not kept. */
const NOT_KEPT = 'latest.json'

function runs(): readonly Run[] {
  const files = readdirSync(FOLDER).filter((file) => file.endsWith('.json') && file !== NOT_KEPT)
  return files.toSorted().map((file) => JSON.parse(readFileSync(new URL(file, FOLDER), 'utf8')) as Run)
}

/** A figure that the README shows: in which scenario, and in the words of somebody who never read the benchmark, with `%` in its place. */
interface Highlight {
  readonly scenario: RegExp
  readonly engine: Figure['engine']
  readonly name: string
  readonly says: string
}

const HIGHLIGHTS: readonly Highlight[] = [
  {
    engine: 'postgres',
    name: 'alone.time',
    scenario: /^Alone/,
    says: 'PostgreSQL, no other client: the purge takes % as long as one DELETE',
  },
  {
    engine: 'sqlite',
    name: 'alone.time',
    scenario: /^Alone.*without/,
    says: 'SQLite, no other client: the purge takes % as long as one DELETE',
  },
  {
    engine: 'postgres',
    name: 'gateway.p99',
    scenario: /^With a gateway/,
    says: 'PostgreSQL, a gateway writing 200 rows/s: the p99 latency of its writes is % what it is without a purge',
  },
  {
    engine: 'sqlite',
    name: 'gateway.p99',
    scenario: /^With a gateway/,
    says: 'SQLite, a gateway writing 100 rows/s: the p99 latency of its writes during a purge is %',
  },
]

/** A line each, and a last one that says how many targets were missed. */
export function highlights(): readonly string[] {
  const judged = runs().flatMap(({ figures }) => figures.filter(({ target }) => target !== undefined))
  const missed = judged.filter((figure) => summaryOf(figure).reached === false)
  return [
    ...HIGHLIGHTS.map(({ scenario, engine, name, says }) => {
      const found = judged.filter((figure) => figure.engine === engine && figure.name === name && scenario.test(figure.scenario))
      if (found.length !== 1) throw new Error(`${found.length} kept figures are ${name} of ${engine}`)
      const [, , target, median, , reached] = cellsOf(found[0]!)
      return `- ${says.replace('%', `**${median}**`)} (target ${target}${reached === 'yes' ? '' : ', missed'}).`
    }),
    `- ${judged.length - missed.length} of ${judged.length} targets are met.`,
  ]
}

/** Every kept run with all its tables. */
export function resultsText(): string {
  return runs()
    .map(({ command, machine, engines, repeats, seconds, notes, figures }) => {
      const { cores, processor, memoryGB, kernel, node, loadBefore } = machine
      const place = `${cores} cores (${processor}), ${memoryGB} GB, ${kernel}, Node ${node}, ${engines.join(', ')}`
      const about = `${place}; load before ${loadBefore}; ${repeats} repeats, ${seconds} s`
      return [`\`${command}\``, about, tablesOf(figures), ...notes.map((note) => `- ${note}`)].join('\n\n')
    })
    .join('\n\n')
}
