import { HELD_COLUMNS, type HeldColumn } from '../catalogue.ts'
import { MOST_PATTERNS, type Match } from '../policy/match.ts'
import type { Spared } from '../policy/spared.ts'
import { command, type Command } from './command.ts'
import { ANSWER, inProgram, JSON_ANSWER } from './in-program.ts'
import { flag, moment, operands, patterns, quoted, words, type Option } from './options.ts'

const NAME = /^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,63}$/
const MOST_REASON = 2_000
const MOST_NAME_OF_WHO = 200

const SAID = {
  reason: words('reason', 'TEXT', MOST_REASON, 'why, for the record'),
  by: words('by', 'WHO', MOST_NAME_OF_WHO, 'who asked for it'),
}

export const HOLD_COMMANDS: readonly Command[] = [
  command({
    name: 'hold place',
    summary: 'keep rows of audit_logs, whatever their age, until the hold is released',
    options: {
      names: operands('NAME'),
      ...columnOptions(),
      from: moment('from', 'with a time from then on'),
      to: moment('to', 'with a time before it'),
      ...SAID,
      reviewAt: moment('review', 'when somebody should ask whether it is still needed'),
      dryRun: flag('dry-run', 'say what it would keep; change nothing'),
      everything: flag('everything', 'every row, where no condition is given'),
      evenIfNone: flag('even-if-none', 'even if there is no such row yet'),
    },
    contradictions: ({ names, reason, everything, ...given }) => {
      const { match, from, until } = sparedOf(given)
      const isCondition = Object.keys(match).length > 0 || from !== undefined || until !== undefined
      return [
        ...oneName('place', names),
        ...names.flatMap((name) =>
          NAME.test(name)
            ? []
            : [`${quoted(name)} is no name of a hold: it begins with a letter or digit and has at most 64 letters, digits and . _ : @ / -`],
        ),
        ...(reason === undefined ? [NO_REASON] : []),
        ...(isCondition || everything ? [] : [`hold place needs a condition, such as --${optionOf('user')}, or --everything`]),
        ...(isCondition && everything ? ['--everything does not go with a condition: each would keep other rows'] : []),
        ...(from !== undefined && until !== undefined && from >= until ? ['--from is not before --to, so no row is between them'] : []),
        ...Object.entries(match).flatMap(([column, values]) =>
          values.length > MOST_PATTERNS ? [`--${optionOf(column)} is given ${values.length} times, and ${MOST_PATTERNS} are the most`] : [],
        ),
      ]
    },
    run: (start, { names, reason, by, reviewAt, dryRun, evenIfNone, ...given }) =>
      inProgram(start, { ...ANSWER, access: dryRun ? 'read' : 'existing' }, async (program) =>
        (await import('../commands/hold/hold-place.ts')).placeOne(program, {
          name: names[0]!,
          spared: sparedOf(given),
          reason: reason!,
          by,
          reviewAt,
          dryRun,
          evenIfNone,
        }),
      ),
  }),
  command({
    name: 'hold release',
    summary: 'let its rows go again, from the next run on',
    options: { names: operands('NAME'), ...SAID },
    contradictions: ({ names, reason }) => [...oneName('release', names), ...(reason === undefined ? [NO_REASON] : [])],
    run: (start, { names, reason, by }) =>
      inProgram(start, { ...ANSWER, access: 'existing' }, async (program) =>
        (await import('../commands/hold/hold-release.ts')).releaseOne(program, { name: names[0]!, reason: reason!, by }),
      ),
  }),
  command({
    name: 'hold list',
    summary: 'the holds in force',
    options: { all: flag('all', 'those that were released too'), ...JSON_ANSWER },
    run: (start, request) =>
      inProgram(start, { ...ANSWER, access: 'read' }, async (program) =>
        (await import('../commands/hold/hold-list.ts')).listHolds(program, request),
      ),
  }),
  command({
    name: 'hold show',
    summary: 'what a hold keeps, who placed it and why',
    options: { names: operands('NAME'), ...JSON_ANSWER },
    contradictions: ({ names }) => oneName('show', names),
    run: (start, { names, json }) =>
      inProgram(start, { ...ANSWER, access: 'read' }, async (program) =>
        (await import('../commands/hold/hold-show.ts')).showHolds(program, { name: names[0]!, json }),
      ),
  }),
]

const NO_REASON = '--reason is missing: somebody will ask why'

function oneName(verb: string, names: readonly string[]): readonly string[] {
  return names.length === 1 ? [] : [`hold ${verb} takes one NAME, such as case-17`]
}

/** `--tool` of `tool_name`. */
function optionOf(column: string): string {
  return column.replace(/_name$/, '')
}

type ColumnOptions = Readonly<Record<HeldColumn, Option<readonly string[]>>>

function columnOptions(): ColumnOptions {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- `Object.fromEntries` forgets the names
  return Object.fromEntries(
    HELD_COLUMNS.map((column, at) => {
      const more = at === 0 ? "; may be repeated for others, and 'a*' is whatever begins with a" : ''
      return [column, patterns(optionOf(column), 'VALUE', `rows of this ${optionOf(column)}${more}`)]
    }),
  ) as ColumnOptions
}

type Conditions = Readonly<Record<HeldColumn, readonly string[]>> & { readonly from: number | undefined; readonly to: number | undefined }

function sparedOf({ from, to, ...given }: Conditions): Spared {
  const match: Match = Object.fromEntries(HELD_COLUMNS.flatMap((column) => (given[column].length === 0 ? [] : [[column, given[column]]])))
  return { match, from, until: to }
}
