import { readdirSync, readFileSync } from 'node:fs'
import type { Figure } from '../bench/figure.ts'
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

/** Every figure that has a target: engine, situation, figure, target, median, least and most, reached. */
export function targetRows(): readonly (readonly string[])[] {
  return runs().flatMap(({ figures }) =>
    figures
      .filter(({ target }) => target !== undefined)
      .map((figure) => {
        const [engine = '', ...cells] = cellsOf(figure)
        return [engine, figure.scenario, ...cells]
      }),
  )
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
