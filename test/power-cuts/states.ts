import { randomOf, type Random } from '../faults/random.ts'
import { cutsOf, described, sample } from './cuts.ts'
import { Disk } from './disk.ts'
import { fingerprint, type Tree } from './folder.ts'
import type { Judge, Verdict } from './judge.ts'
import { MODEL_NAMES, stateOf, type ModelName } from './models.ts'
import type { Recording } from './recordings.ts'
import { placesOf, type SYNCS } from './syncs.ts'

export interface Amount {
  /** Of the places where the order matters, and of all others. */
  readonly dense: number
  readonly others: number
  /** How many models at each of them. */
  readonly models: number
}

/** By default, in a few minutes. */
export const SOME: Amount = { dense: 0.25, others: 0.02, models: 2 }
export const FULL: Amount = { dense: 1, others: 0.15, models: MODEL_NAMES.length }

/** One state that was judged. */
export interface Judged {
  readonly model: ModelName
  /** Behind this operation of the recording. */
  readonly cut: number
  readonly behind: string
  readonly verdicts: readonly Verdict[]
  readonly state: Tree
}

/** Cuts a recording at many places. Equal states are judged once. */
export async function* judgedStates(
  { operations, image, scenario }: Recording,
  judge: Judge,
  amount: Amount,
  seed: number,
): AsyncGenerator<Judged> {
  const { dense, others } = cutsOf(operations)
  const choosing = randomOf(seed, scenario.name)
  const last = operations.length - 1
  const cuts = new Set([...sample(dense, amount.dense, choosing), ...sample(others, amount.others, choosing), last])
  const seen = new Set<string>()
  const disk = new Disk(image)
  for (const [cut, operation] of operations.entries()) {
    disk.apply(operation)
    if (!cuts.has(cut)) continue
    for (const model of someModels(cut === last ? MODEL_NAMES.length : amount.models, choosing)) {
      const state = stateOf(disk, model, randomOf(seed, `${scenario.name}/${cut}/${model}`))
      const print = fingerprint(state)
      if (seen.has(print)) continue
      seen.add(print)
      yield { model, cut, behind: described(operation), state, verdicts: await judge.verdictsOn(state, cut === last) }
    }
  }
}

function someModels(count: number, random: Random): readonly ModelName[] {
  const drawn = MODEL_NAMES.map((model) => [random.fraction(), model] as const).toSorted(([a], [b]) => a - b)
  return drawn.slice(0, count).map(([, model]) => model)
}

/** In operations. */
const NEAR = 60

/** The first violations where these syncs of the recording have done nothing, or how many states had none. */
export async function withoutSync(
  { operations, image, scenario }: Recording,
  judge: Judge,
  { sync, most, seed }: { readonly sync: (typeof SYNCS)[number]; readonly most: number; readonly seed: number },
): Promise<{ readonly states: number; readonly found: Judged | undefined }> {
  const dropped = placesOf(sync, operations)
  const random = randomOf(seed, `${scenario.name}/without ${sync.name}`)
  const seen = new Set<string>()
  for (let tries = 0; dropped.size > 0 && tries < 3 * most && seen.size < most; tries += 1) {
    // Mostly soon after one of them, before something else has synced what it covers.
    const from = random.pick([...dropped])
    const far = random.fraction() < 0.3 ? operations.length - from : NEAR
    const cut = Math.min(from + 1 + Math.floor(far * random.fraction() ** 2), operations.length - 1)
    const model = random.fraction() < 0.5 ? 'any' : random.pick(MODEL_NAMES.filter((name) => name !== 'kill'))
    const disk = new Disk(image)
    for (const [place, operation] of operations.slice(0, cut + 1).entries()) if (!dropped.has(place)) disk.apply(operation)
    const state = stateOf(disk, model, random)
    const print = fingerprint(state)
    if (seen.has(print)) continue
    seen.add(print)
    const verdicts = await judge.verdictsOn(state, cut === operations.length - 1)
    if (verdicts.length > 0) return { states: seen.size, found: { model, cut, behind: described(operations[cut]!), state, verdicts } }
  }
  return { states: seen.size, found: undefined }
}
