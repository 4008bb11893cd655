import { DatabaseError } from '../database/database-error.ts'
import type { Database } from '../database/database.ts'
import { labelOf } from '../database/open.ts'
import { diagnose, diagnoseWithout, type Diagnosis } from '../doctor/diagnosis.ts'
import { diagnosisDocument } from '../doctor/diagnosis-document.ts'
import type { DoctorPlan } from '../doctor/doctor-facts.ts'
import { LIMITS } from '../doctor/read-facts.ts'
import { exitCodeOf, type ExitCode } from '../errors.ts'
import { jsonDocument } from '../observe/control-characters.ts'
import { archivePlanOf, connect, type Foundation } from '../program.ts'
import { readStatus, statusWithout } from '../status/read-status.ts'
import { doctorText } from '../terminal/doctor-text.ts'
import { styleOf } from '../terminal/style.ts'
import { statusContextOf } from './latest-status.ts'

export interface DoctorRequest {
  readonly json: boolean
  readonly thorough: boolean
}

/** `doctor`: changes nothing. Exit code 1 for faults; advice is shown, and is none. */
export async function examine(foundation: Foundation, { json, thorough }: DoctorRequest): Promise<ExitCode> {
  const { host, settings, shutdown } = foundation
  const context = statusContextOf(foundation)
  const plan: DoctorPlan = {
    jobs: settings.jobs,
    archive: archivePlanOf(foundation),
    migrationsEnabled: settings.migrations.enabled,
    warnings: settings.warnings,
    thorough,
  }
  const show = (diagnosis: Diagnosis): void =>
    json ? host.write(jsonDocument(diagnosisDocument(diagnosis))) : host.print(doctorText(diagnosis, styleOf(host)))
  const without = async (error: DatabaseError): Promise<ExitCode> => {
    show(await diagnoseWithout(statusWithout(await labelOf(settings.database.url), error, context), plan))
    return exitCodeOf(error)
  }
  let connected: Database
  try {
    connected = await connect(foundation, { access: 'read', patience: 'answer' })
  } catch (error) {
    if (error instanceof DatabaseError) return await without(error)
    throw error
  }
  await using database = connected
  const status = await readStatus(database, context)
  if (!status.database.reachable) {
    show(await diagnoseWithout(status, plan))
    return 3
  }
  const diagnosis = await diagnose(database, status, { plan, clock: host.clock, limits: LIMITS, signal: shutdown.stopping })
  show(diagnosis)
  return diagnosis.findings.some(({ level }) => level === 'fault') ? 1 : 0
}
