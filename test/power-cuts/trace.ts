import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'

/** From the line on which a call began to the line on which it ended: calls of several threads overlap. */
interface Span {
  readonly begin: number
  readonly end: number
}

/** What one call did to files and folders below the recorded one. Paths are below it too. */
export type Operation = Span &
  (
    | { readonly kind: 'open'; readonly opened: Opened; readonly creates: boolean; readonly empties: boolean }
    | { readonly kind: 'write'; readonly opened: Opened; readonly data: Buffer; readonly offset: number | undefined }
    | { readonly kind: 'truncate'; readonly opened: Opened; readonly size: number }
    | { readonly kind: 'sync'; readonly opened: Opened }
    | { readonly kind: 'mkdir' | 'remove'; readonly path: string }
    | { readonly kind: 'link' | 'rename'; readonly path: string; readonly from: string }
  )

/** A descriptor. */
export interface Opened {
  readonly path: string
  /** For reading, without waiting: so this program opens what it only reads or syncs, and SQLite nothing. */
  readonly forReading: boolean
}

export function pathIn(operation: Operation): string {
  return 'path' in operation ? operation.path : operation.opened.path
}

/** Calls that change files. What is not in `CHANGES` must not touch the recorded folder, or the recording would not be whole. */
const FOREIGN = [
  'creat',
  'pwritev',
  'pwritev2',
  'truncate',
  'fallocate',
  'sync_file_range',
  'sync',
  'syncfs',
  'symlink',
  'symlinkat',
  'copy_file_range',
  'sendfile',
  'splice',
  'dup',
  'dup2',
  'dup3',
]
const KNOWN = [
  'open',
  'openat',
  'close',
  'write',
  'writev',
  'pwrite64',
  'ftruncate',
  'fsync',
  'fdatasync',
  'rename',
  'renameat',
  'renameat2',
  'link',
  'linkat',
  'unlink',
  'unlinkat',
  'mkdir',
  'mkdirat',
  'rmdir',
]

/** Longer than any write of the recorded runs: a text that strace has shortened is refused. */
const LONGEST_WRITE = 2 ** 22

/** Of strace, before the command. */
export function straceWords(output: string): string[] {
  const calls = `trace=${[...KNOWN, ...FOREIGN].join(',')}`
  return ['-f', '-y', '-xx', '-s', String(LONGEST_WRITE), '--seccomp-bpf', '-e', 'signal=none', '-e', calls, '-o', output]
}

export async function readTrace(path: string, folder: string): Promise<readonly Operation[]> {
  const calls = callsIn(await readFile(path, 'latin1'))
  return new Interpreter(folder).operations(calls)
}

interface Call extends Span {
  readonly name: string
  readonly given: string
  readonly result: string
}

const CALL = /^(?<name>\w+)\((?<given>.*)\) += (?<result>-?\d+|\?)/s

function callsIn(text: string): readonly Call[] {
  const calls: Call[] = []
  const unfinished = new Map<string, { readonly begin: number; readonly text: string }>()
  for (const [end, line] of text.split('\n').entries()) {
    const [, thread = '', said = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    const rest = /^<\.\.\. \w+ resumed>(.*)$/.exec(said)?.[1]
    const started = rest === undefined ? undefined : unfinished.get(thread)
    if (rest === undefined && said.endsWith('<unfinished ...>')) {
      unfinished.set(thread, { begin: end, text: said.slice(0, -'<unfinished ...>'.length) })
      continue
    }
    const { name, given, result } = CALL.exec(started === undefined ? said : started.text + rest)?.groups ?? {}
    if (name !== undefined) calls.push({ begin: started?.begin ?? end, end, name, given: given!, result: result! })
  }
  // A descriptor may be given out again as soon as its closing has begun.
  const momentOf = ({ name, begin, end }: Call): number => (name === 'close' ? begin : end)
  return calls.toSorted((a, b) => momentOf(a) - momentOf(b))
}

class Interpreter {
  readonly #folder: string
  readonly #open = new Map<number, Opened>()

  constructor(folder: string) {
    this.#folder = folder
  }

  operations(calls: readonly Call[]): readonly Operation[] {
    const operations = calls.filter(({ result }) => /^\d/.test(result)).flatMap((call) => this.#operation(call) ?? [])
    return operations.toSorted((a, b) => a.end - b.end)
  }

  #operation(call: Call): Operation | undefined {
    const { begin, end, name, given, result } = call
    const span = { begin, end }
    if (FOREIGN.includes(name)) return this.#mustBeElsewhere(call)
    if (name === 'open' || name === 'openat') {
      const path = this.#pathsIn(given)[0]
      this.#open.delete(Number(result))
      if (path === undefined) return undefined
      const opened = { path, forReading: given.includes('O_NONBLOCK') && !/O_WRONLY|O_RDWR/.test(given) }
      this.#open.set(Number(result), opened)
      return { ...span, kind: 'open', opened, creates: given.includes('O_CREAT'), empties: given.includes('O_TRUNC') }
    }
    if (/^(mkdir|mkdirat|unlink|unlinkat|rmdir)$/.test(name)) {
      const path = this.#pathsIn(given)[0]
      return path === undefined ? undefined : { ...span, kind: name.startsWith('mkdir') ? 'mkdir' : 'remove', path }
    }
    if (/^(rename|link)/.test(name)) {
      const [from, path] = this.#pathsIn(given)
      if (from === undefined && path === undefined) return undefined
      if (from === undefined || path === undefined) throw new Error(`a file was moved across the edge of the recorded folder: ${name}`)
      return { ...span, kind: name.startsWith('link') ? 'link' : 'rename', path, from }
    }
    const opened = this.#open.get(Number.parseInt(given, 10))
    if (name === 'close') this.#open.delete(Number.parseInt(given, 10))
    if (opened === undefined || name === 'close') return undefined
    if (name === 'fsync' || name === 'fdatasync') return { ...span, kind: 'sync', opened }
    const last = Number(/, (\d+)\s*$/.exec(given)?.[1])
    if (name === 'ftruncate') return { ...span, kind: 'truncate', opened, size: last }
    const data = Buffer.concat(textsIn(given)).subarray(0, Number(result))
    return { ...span, kind: 'write', opened, data, offset: name === 'pwrite64' ? last : undefined }
  }

  #mustBeElsewhere({ name, given }: Call): undefined {
    const named = this.#pathsIn(given).some((path) => path !== undefined)
    if (named || this.#open.has(Number.parseInt(given, 10))) throw new Error(`the models do not know what ${name} does to a file`)
  }

  /** The paths among the arguments, in their order; `undefined`: elsewhere. */
  #pathsIn(given: string): (string | undefined)[] {
    const found = given.matchAll(/(?:AT_FDCWD(?:<(?<at>[^>]*)>)?, )?"(?<path>(?:\\x..)*)"/g)
    return [...found].map(({ groups }) => {
      const path = resolve(bytesOf(groups!['at'] ?? '').toString() || '/', bytesOf(groups!['path']!).toString())
      const below = path === this.#folder ? '' : path.startsWith(`${this.#folder}/`) ? path.slice(this.#folder.length + 1) : undefined
      // Shared memory, which is made anew from the log.
      return below?.endsWith('-shm') === true ? undefined : below
    })
  }
}

function textsIn(given: string): Buffer[] {
  return [...given.matchAll(/"((?:\\x..)*)"(\.\.\.)?/g)].map(([, text, shortened]) => {
    if (shortened !== undefined) throw new Error('strace has shortened what was written')
    return bytesOf(text!)
  })
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text.replaceAll('\\x', ''), 'hex')
}
