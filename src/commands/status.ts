import { labelOf } from '../database/open.ts'
import { exitCodeOf, type ExitCode } from '../errors.ts'
import { jsonDocument } from '../observe/control-characters.ts'
import { withProgram, type Program, type ProgramOptions } from '../program.ts'
import { statusDocument } from '../status/document.ts'
import { findingsOf } from '../status/findings.ts'
import { readStatus, statusWithout, type Status } from '../status/read-status.ts'
import { statusText } from '../terminal/status-text.ts'
import { styleOf } from '../terminal/style.ts'
import { statusContextOf } from './status-context.ts'

export interface StatusRequest {
  readonly json: boolean
  /** Whether a fault is an exit code too. */
  readonly check: boolean
}

/** `status`: changes nothing. A database that cannot be reached is a status too, with exit code 3. */
export function showStatus(options: Omit<ProgramOptions, 'access' | 'lasting'>, { json, check }: StatusRequest): Promise<ExitCode> {
  const answer = {
    async withoutDatabase(program: Omit<Program, 'database'>, error: unknown): Promise<ExitCode> {
      show(program, statusWithout(await labelOf(program.settings.database.url), error, statusContextOf(program)), json)
      return exitCodeOf(error)
    },
  }
  return withProgram({ ...options, access: 'read', lasting: false, answer }, async (program) => {
    const status = await readStatus(program.database, statusContextOf(program))
    show(program, status, json)
    if (!status.database.reachable) return 3
    return check && findingsOf(status).some(({ level }) => level === 'fault') ? 1 : 0
  })
}

function show({ host }: Omit<Program, 'database'>, status: Status, json: boolean): void {
  host.print(json ? jsonDocument(statusDocument(status)) : statusText(status, styleOf(host)))
}
