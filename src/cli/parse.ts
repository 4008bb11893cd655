import { parseArgs } from 'node:util'
import { MaintenanceError, messageOf } from '../errors.ts'
import type { Call, Command } from './command.ts'
import { COMMANDS, CONFIG_FILE, HELP, VERSION, WORKER } from './commands.ts'
import { quoted, type Option } from './options.ts'

/** What a command line asks for. */
export type Parsed =
  | { readonly kind: 'version' }
  /** The help of these commands; all of them if none is named. */
  | { readonly kind: 'help'; readonly commands: readonly Command[] }
  | { readonly kind: 'command'; readonly command: Command; readonly call: Call; readonly configFile: string | undefined }

/** Throws `USAGE` with every problem, one per line. */
export function parseCommand(line: readonly string[]): Parsed {
  const { given, words } = split(line)
  const byOption = BY_OPTION.find(({ name }) => given.has(bare(name)))
  if (given.has(HELP.name)) return { kind: 'help', commands: byOption === undefined ? (commandsNamed(words) ?? COMMANDS) : [byOption] }
  if (given.has(VERSION.name)) return { kind: 'version' }
  if (words[0] === HELP.name) {
    const commands = byOption === undefined ? commandsNamed(words.slice(1)) : [byOption]
    if (commands === undefined) throw usage([unknownProblem(words.slice(1))])
    return { kind: 'help', commands }
  }
  if (words.join(' ') === VERSION.name) return { kind: 'version' }

  const byWords = BY_WORDS.findLast(({ name }) => name.split(' ').every((word, at) => word === words[at]))
  const command = byOption ?? byWords ?? (words.length === 0 ? WORKER : undefined)
  const rest = words.slice(byWords?.name.split(' ').length ?? (isGroup(words[0]) ? 2 : 1))
  const takesRest = command?.options.some(({ form }) => form === 'operands') === true

  const textsOf = (option: Option<unknown>): readonly string[] => (option.form === 'operands' ? rest : (given.get(option.name) ?? []))
  const call = command?.called(textsOf)
  const problems = [
    ...(words.length > 0 && byWords === undefined ? [unknownProblem(words)] : []),
    ...(rest.length > 0 && !takesRest ? [`unexpected argument ${rest.map(quoted).join(' ')}`] : []),
    ...(byOption !== undefined && byWords !== undefined ? [`${byOption.name} does not go with ${byWords.name}`] : []),
    ...misplacedProblems(given, command),
    ...(call?.contradictions ?? []),
    // The value of a misplaced option is checked as the first command that takes it would.
    ...[CONFIG_FILE, ...firstOfEachName([...(command?.options ?? []), ...OPTIONS])].flatMap((option) =>
      (given.get(option.name) ?? []).flatMap((text) => option.problemOf(text) ?? []),
    ),
  ]
  if (problems.length > 0 || command === undefined || call === undefined) throw usage(problems)
  return { kind: 'command', command, call, configFile: CONFIG_FILE.valueOf(textsOf(CONFIG_FILE)) }
}

/** The commands whose names begin with these words; one that an option chooses is found without its dashes too. `undefined`: there is none. */
function commandsNamed(words: readonly string[]): readonly Command[] | undefined {
  const named =
    words.length === 0 ? COMMANDS : COMMANDS.filter(({ name }) => words.every((word, at) => bare(name).split(' ')[at] === bare(word)))
  return named.length === 0 ? undefined : named
}

function bare(word: string): string {
  return word.replace(/^--/, '')
}

const BY_OPTION = COMMANDS.filter(({ name }) => name.startsWith('--'))
const BY_WORDS = COMMANDS.filter(({ name }) => /^\w/.test(name))

/** The options of all commands, one for each name. */
const OPTIONS = firstOfEachName(COMMANDS.flatMap(({ options }) => options)).filter(({ form }) => form !== 'operands')

function firstOfEachName(options: readonly Option<unknown>[]): readonly Option<unknown>[] {
  return options.filter(({ name }, at) => options.findIndex((each) => each.name === name) === at)
}

/** The texts that each option was given, by its name, and the words that belong to no option. */
function split(line: readonly string[]): { readonly given: ReadonlyMap<string, readonly string[]>; readonly words: readonly string[] } {
  const named = [...OPTIONS, CONFIG_FILE, HELP, VERSION].map(
    ({ name, form }) => [name, { type: form === 'flag' ? 'boolean' : 'string', multiple: form === 'repeatable' }] as const,
  )
  const choosing = BY_OPTION.map(({ name }) => [name.slice(2), { type: 'boolean' }] as const)
  try {
    const options = Object.fromEntries([...named, ...choosing])
    const { values, positionals } = parseArgs({
      args: spelledOut(line),
      options,
      allowPositionals: true,
      strict: true,
    })
    return { given: new Map(Object.entries(values).map(([name, value]) => [name, [value].flat().map(String)])), words: positionals }
  } catch (error) {
    throw usage([firstSentence(messageOf(error))])
  }
}

const SHORT: ReadonlyMap<string, string> = new Map([
  ['-h', `--${HELP.name}`],
  ['-v', `--${VERSION.name}`],
  ['-V', `--${VERSION.name}`],
])

/** Spells out short options. What follows `--` is not an option. */
function spelledOut(line: readonly string[]): string[] {
  const end = line.indexOf('--')
  return line.map((word, at) => (end === -1 || at < end ? (SHORT.get(word) ?? word) : word))
}

function misplacedProblems(given: ReadonlyMap<string, unknown>, command: Command | undefined): readonly string[] {
  return OPTIONS.filter(({ name }) => given.has(name) && !takes(command, name)).map(
    ({ name }) =>
      `--${name} goes with ${COMMANDS.filter((each) => takes(each, name))
        .map((each) => each.name)
        .join(' or ')}`,
  )
}

function takes(command: Command | undefined, name: string): boolean {
  return command?.options.some((option) => option.name === name) === true
}

function unknownProblem([first = '', second]: readonly string[]): string {
  if (isGroup(first)) {
    const names = BY_WORDS.flatMap(({ name }) => (name.startsWith(`${first} `) ? [name.slice(first.length + 1)] : []))
    return `${first} ${second === undefined ? 'needs' : `has no ${quoted(second)}; it has`} ${names.join(', ')}`
  }
  const names = new Set(BY_WORDS.map(({ name }) => name.split(' ')[0]))
  return `unknown command ${quoted(first)}; the commands are ${[...names].join(', ')}, or none`
}

/** Whether several commands begin with this word. */
function isGroup(word: string | undefined): boolean {
  return BY_WORDS.some(({ name }) => name.startsWith(`${word} `))
}

/** Node adds advice about `--` that no option of ours needs. */
function firstSentence(message: string): string {
  return message.replace(/\. .*$/s, '').replace(/\n/g, ' ')
}

function usage(problems: readonly string[]): MaintenanceError {
  return new MaintenanceError('USAGE', [...problems, 'nothing was done; --help shows every command'])
}
