import { DatabaseError } from '../database/database-error.ts'
import type { Database } from '../database/database.ts'
import { labelOf } from '../database/open.ts'
import { exitCodeOf, type ExitCode } from '../errors.ts'
import { jsonDocument } from '../observe/control-characters.ts'
import { connect, type Foundation } from '../program.ts'
import { statusDocument } from '../status/document.ts'
import { findingsOf } from '../status/findings.ts'
import { readStatus, statusWithout, type Status } from '../status/read-status.ts'
import { statusText } from '../terminal/status-text.ts'
import { styleOf } from '../terminal/style.ts'
import { statusContextOf } from './latest-status.ts'

export interface StatusRequest {
  readonly json: boolean
  /** Whether a fault ends with exit code 1. */
  readonly check: boolean
}

/** `status`: changes nothing. A database that cannot be reached is shown as a status too, with exit code 3. */
export async function showStatus(foundation: Foundation, { json, check }: StatusRequest): Promise<ExitCode> {
  const { host, settings } = foundation
  const context = statusContextOf(foundation)
  const show = (status: Status): void =>
    json ? host.write(jsonDocument(statusDocument(status))) : host.print(statusText(status, styleOf(host)))
  let connected: Database
  try {
    connected = await connect(foundation, { access: 'read', patience: 'answer' })
  } catch (error) {
    if (!(error instanceof DatabaseError)) throw error
    show(statusWithout(await labelOf(settings.database.url), error, context))
    return exitCodeOf(error)
  }
  await using database = connected
  const status = await readStatus(database, context)
  show(status)
  if (!status.database.reachable) return 3
  return check && findingsOf(status).some(({ level }) => level === 'fault') ? 1 : 0
}
