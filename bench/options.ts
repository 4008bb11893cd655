import { tmpdir } from 'node:os'
import { parseArgs } from 'node:util'
import { POSTGRES_MAJORS, type PostgresMajor } from '../test/support/postgres-server.ts'
import { ENGINE_NAMES, type EngineName } from './engines/engine.ts'

export interface Options {
  readonly engines: readonly EngineName[]
  /** Names of scenarios; empty: all. */
  readonly scenarios: readonly string[]
  readonly sizes: Sizes
  readonly repeats: number
  /** Everything small and short: shows that the benchmark works, and proves nothing. */
  readonly quick: boolean
  readonly postgres: PostgresMajor
  /** Of the scenario `partitions`: over how many days rows are spread, a partition a day. `undefined`: as everywhere. */
  readonly days: number | undefined
  /** Of the same: rows of some 150 bytes. */
  readonly smallRows: boolean
  /** Where the databases are made. */
  readonly directory: string
  readonly json: string
}

/** Rows of `audit_logs`; a quarter of them has expired. */
export interface Sizes {
  readonly small: number
  /** The number of rows that the targets are stated for. */
  readonly reference: number
  /** With `--large`, the size for what must not grow with the table; otherwise the same as `reference`. */
  readonly largest: number
}

export function usage(scenarios: readonly string[]): string {
  return `npm run bench -- [OPTION]...
  --quick            small databases and few repeats: the same tables within two minutes
  --large            also with 4,000,000 rows
  --only ENGINE      sqlite or postgres
  --scenario NAME    only this one (may be repeated): ${scenarios.join(', ')}
  --repeats N        how often each pair is measured (5)
  --rows N           rows of the database that the targets are stated for (1000000)
  --days N           of partitions: over how many days its rows are spread, a multiple of four (120)
  --small-rows       of partitions: rows of some 150 bytes, for very many of them
  --postgres MAJOR   ${POSTGRES_MAJORS.join(' or ')} (${POSTGRES_MAJORS.at(-1)})
  --directory DIR    where the databases are made (the system's temporary directory)
  --json FILE        where the figures are written as JSON (bench/results/latest.json)
`
}

export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** `undefined`: help was requested. Throws a `UsageError`. */
export function optionsFrom(words: readonly string[], scenarios: readonly string[]): Options | undefined {
  const { values } = parsed(words)
  if (values.help === true) return undefined
  const quick = values.quick === true
  const reference = wholeNumber('--rows', values.rows) ?? (quick ? 50_000 : 1_000_000)
  return {
    engines: values.only === undefined ? ENGINE_NAMES : [oneOf('--only', values.only, ENGINE_NAMES)],
    scenarios: (values.scenario ?? []).map((name) => oneOf('--scenario', name, scenarios)),
    sizes: {
      small: Math.min(quick ? 10_000 : 100_000, Math.floor(reference / 5)),
      reference,
      largest: values.large === true ? Math.max(4_000_000, reference) : reference,
    },
    repeats: wholeNumber('--repeats', values.repeats) ?? (quick ? 2 : 5),
    quick,
    postgres: major(values.postgres),
    days: wholeNumber('--days', values.days),
    smallRows: values['small-rows'] === true,
    directory: values.directory ?? tmpdir(),
    json: values.json ?? 'bench/results/latest.json',
  }
}

function parsed(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      strict: true,
      options: {
        quick: { type: 'boolean' },
        large: { type: 'boolean' },
        only: { type: 'string' },
        scenario: { type: 'string', multiple: true },
        repeats: { type: 'string' },
        rows: { type: 'string' },
        days: { type: 'string' },
        'small-rows': { type: 'boolean' },
        postgres: { type: 'string' },
        directory: { type: 'string' },
        json: { type: 'string' },
        help: { type: 'boolean' },
      },
    })
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function major(given: string | undefined): PostgresMajor {
  const newest = POSTGRES_MAJORS.at(-1)!
  const name = oneOf('--postgres', given ?? String(newest), POSTGRES_MAJORS.map(String))
  return POSTGRES_MAJORS.find((each) => String(each) === name) ?? newest
}

function oneOf<Name extends string>(option: string, given: string, names: readonly Name[]): Name {
  const found = names.find((name) => name === given)
  if (found === undefined) throw new UsageError(`${option} is one of ${names.join(', ')}, not ${JSON.stringify(given)}`)
  return found
}

function wholeNumber(option: string, given: string | undefined): number | undefined {
  if (given === undefined) return undefined
  if (!/^[1-9]\d{0,8}$/.test(given)) throw new UsageError(`${option} is a whole number, not ${JSON.stringify(given)}`)
  return Number(given)
}
