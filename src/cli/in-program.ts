import type { ExitCode } from '../errors.ts'
import type { DatabaseOptions, FoundationOptions, Program, Start } from '../program.ts'
import { flag } from './options.ts'

/** For a command whose answer somebody is waiting for: the log goes to standard error. */
export const ANSWER = { log: 'error', metrics: 'none', patience: 'answer' } as const satisfies Partial<FoundationOptions & DatabaseOptions>

export const JSON_ANSWER = { json: flag('json') }

export async function inProgram(
  start: Start,
  options: FoundationOptions & DatabaseOptions,
  work: (program: Program) => Promise<ExitCode>,
): Promise<ExitCode> {
  return (await import('../program.ts')).withProgram(start, options, work)
}
