import type { Authentication, Method } from '../../url/url-types.ts'

/** How the server wants to be convinced of who we are. */
export interface Challenge {
  readonly method: Method
  /** Whether the proof is bound to the TLS connection that it is given on. */
  readonly bound: boolean
}

export const BOUND_MECHANISM = 'SCRAM-SHA-256-PLUS'

/** Nobody asked for a proof: the server trusts the address, the owner of a socket, or a client's certificate. */
const NO_CHALLENGE: Challenge = { method: 'none', bound: false }

/**
 * What the server asks for while it lets a connection in. Each challenge is judged when it arrives, and an objection stays: the password is fetched a moment
 * later, and a server that is not the right one could send a second challenge, in clear text, until then or afterwards.
 */
export class Login {
  readonly #wanted: Authentication
  #objection: string | undefined
  #challenged = false
  #unproven = false

  constructor(wanted: Authentication) {
    this.#wanted = wanted
  }

  challenge(challenge: Challenge): void {
    this.#challenged = true
    this.#unproven = challenge.method === 'scram-sha-256'
    this.#objection ??= objection(challenge, this.#wanted)
  }

  /** The server has shown that it knows the password too. */
  proven(): void {
    this.#unproven = false
  }

  /** Throws if no password must be sent. */
  mayAnswer(): void {
    if (this.#objection !== undefined) throw new Error(this.#objection)
  }

  /** Throws if this must not be used, although the server let us in. */
  ended(): void {
    if (!this.#challenged) this.challenge(NO_CHALLENGE)
    this.mayAnswer()
    if (this.#unproven)
      throw new Error('the server ended the login without proving that it knows the password, so it may be another server')
  }
}

/** Why this challenge must not be answered, or `undefined`. */
function objection({ method, bound }: Challenge, { methods, channelBinding }: Authentication): string | undefined {
  if (methods !== undefined && !methods.includes(method))
    return `the server ${method === 'none' ? 'wants no authentication' : `wants authentication by ${method}`}, and require_auth does not list that; no password was sent`
  if (channelBinding === 'require' && !bound)
    return 'channel_binding=require, and the server does not offer it on this connection (it needs TLS and a password stored for SCRAM); no password was sent'
  return undefined
}
