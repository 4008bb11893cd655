import type { TestDatabase, TestEngine } from '../support/engines.ts'
import { ALL_MAJORS } from '../support/postgres-server.ts'
import { asked, bothHosts, ReplicatedPair, type PairOptions } from '../support/standby.ts'
import { Proxy } from './proxy.ts'
import type { Random } from './random.ts'

/** One that leads to another primary, except for `read-only`. `mayLose`: the new one may lack what was committed last. */
export interface Change {
  readonly kind: 'switched over' | 'failed over' | 'both primary' | 'read-only'
  readonly mayLose: boolean
}

const LONGEST_MS = 2_000

/** A primary with its standby, each behind an address of its own that stays the same, whichever server is there by then. A URL names both. */
export class TwoHosts implements AsyncDisposable {
  readonly pair: ReplicatedPair
  readonly #synchronous: boolean
  #primary: Proxy
  #standby: Proxy
  /** In the order of the URL. */
  readonly #links: readonly Proxy[]

  private constructor(pair: ReplicatedPair, synchronous: boolean, primary: Proxy, standby: Proxy) {
    this.pair = pair
    this.#synchronous = synchronous
    this.#primary = primary
    this.#standby = standby
    this.#links = [primary, standby]
  }

  static async start({ name }: TestEngine, options: PairOptions): Promise<TwoHosts> {
    const pair = await ReplicatedPair.start(
      ALL_MAJORS.find((each) => name.endsWith(String(each)))!,
      options,
    )
    return new TwoHosts(pair, options.synchronous === true, await Proxy.open(pair.primaryUrl), await Proxy.open(pair.standbyUrl))
  }

  /** For the program by way of both addresses; what is asked from outside goes to the primary, whichever it is by then. */
  database(name = 'postgres'): TestDatabase {
    const { pair } = this
    const at = (url: string): string => Object.assign(new URL(url), { pathname: `/${name}` }).href
    const [first, second] = this.#links.map((link) => link.through(pair.primaryUrl).href)
    return {
      url: bothHosts({ primaryUrl: at(first!), standbyUrl: at(second!) }),
      sql: <Row>(text: string, values: readonly (string | number | null)[] = []) => asked<Row>(at(pair.primaryUrl), text, values),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }
  }

  /** Resolves when there is a primary that can be reached, and a standby that follows it. */
  async change(random: Random): Promise<Change> {
    const kind = random.pick(['switched over', 'failed over', 'failed over', 'both primary', 'read-only'] as const)
    const forMs = random.whole(0, LONGEST_MS)
    const chance = random.fraction()
    // The address of the next primary leads nowhere for longer than there is no primary.
    const late =
      kind !== 'read-only' && random.fraction() < 0.4
        ? this.#standby.inflict({ kind: 'away', ms: forMs + random.whole(0, LONGEST_MS) })
        : undefined
    switch (kind) {
      case 'switched over':
        await this.pair.switchOver(chance < 0.5 ? { withoutPrimaryMs: forMs } : {})
        break
      case 'failed over':
        await this.pair.failOver({ withoutPrimaryMs: forMs, ...(chance < 0.5 ? { unreceivedMs: random.whole(0, LONGEST_MS / 2) } : {}) })
        break
      case 'both primary':
        await this.pair.failOver({ besideMs: forMs })
        break
      case 'read-only':
        await this.#readOnly('on')
        await new Promise((resolve) => setTimeout(resolve, forMs))
        await this.#readOnly('off')
        return { kind, mayLose: false }
    }
    ;[this.#primary, this.#standby] = [this.#standby, this.#primary]
    if (kind !== 'switched over') this.#standby.leadTo(this.pair.standbyUrl)
    await late
    return { kind, mayLose: kind !== 'switched over' && !this.#synchronous }
  }

  async #readOnly(value: 'on' | 'off'): Promise<void> {
    await asked(this.pair.primaryUrl, `ALTER SYSTEM SET default_transaction_read_only = ${value}`)
    await asked(this.pair.primaryUrl, 'SELECT pg_reload_conf()')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#links.map((link) => link[Symbol.asyncDispose]()))
    await this.pair[Symbol.asyncDispose]()
  }
}
