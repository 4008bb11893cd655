import { test } from 'node:test'
import { fakeTimeLibrary } from '../faults/fake-time.ts'
import { WEEKS } from '../partition-days/spans.ts'
import { daysOn, outcomeText } from '../partition-days/world.ts'
import { PACKAGE_ROOT } from '../support/command.ts'
import { POSTGRES_MAJORS } from '../support/postgres-server.ts'

const library = fakeTimeLibrary()
const skip = library === undefined && 'libfaketime is not installed (Debian: faketime)'

test('weeks of a partitioned table: every row goes at its time to the day, whatever becomes of the worker', { skip }, async (t) => {
  const outcome = await daysOn(
    { major: POSTGRES_MAJORS.at(-1)!, library: library!, seed: 7, tell: (text) => t.diagnostic(text), packageRoot: PACKAGE_ROOT },
    WEEKS,
  )
  t.diagnostic(outcomeText(outcome))
})
