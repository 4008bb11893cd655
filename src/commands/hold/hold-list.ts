import type { ExitCode } from '../../errors.ts'
import { jsonDocument } from '../../observe/control-characters.ts'
import type { Program } from '../../program.ts'
import { READING_RIGHTS } from '../../runs/hold-rights.ts'
import { HOLDS } from '../../runs/hold-tables.ts'
import { holdsText } from '../../terminal/hold-text.ts'
import { styleOf } from '../../terminal/style.ts'
import { holdDocument } from './hold-document.ts'
import { recordedHolds } from './open-holds.ts'

/** `hold list`: in the order in which they were placed. Changes nothing. */
export async function listHolds(program: Program, { all, json }: { readonly all: boolean; readonly json: boolean }): Promise<ExitCode> {
  const { host, events, database } = program
  const found = await recordedHolds(program, READING_RIGHTS)
  if (found === undefined) events.warning(`there is no table ${HOLDS} yet: no hold can be placed before migration 007 is applied`)
  const holds = (found ?? []).filter(({ released }) => all || released === undefined)
  if (json) host.write(jsonDocument({ holds: holds.map(holdDocument) }))
  else if (holds.length > 0) host.print(holdsText(holds, await database.now(), styleOf(host)))
  else host.print(all ? 'no hold was ever placed\n' : 'no hold is in force\n')
  return 0
}
