import type { Authentication, Method } from '../../url/url-types.ts'

/** How the server wants to be convinced of who we are. */
export interface Challenge {
  readonly method: Method
  /** Whether the proof is bound to the TLS connection that it is given on. */
  readonly bound: boolean
}

export const BOUND_MECHANISM = 'SCRAM-SHA-256-PLUS'

/** Nobody asked for a proof: the server trusts the address, the owner of a socket, or a client's certificate. */
export const NO_CHALLENGE: Challenge = { method: 'none', bound: false }

/** Why this challenge must not be answered, or `undefined`. Asked before a password is sent, and once more when the server is content without one. */
export function objection({ method, bound }: Challenge, { methods, channelBinding }: Authentication): string | undefined {
  if (methods !== undefined && !methods.includes(method))
    return `the server ${method === 'none' ? 'wants no authentication' : `wants authentication by ${method}`}, and require_auth does not list that; no password was sent`
  if (channelBinding === 'require' && !bound)
    return 'channel_binding=require, and the server does not offer it on this connection (it needs TLS and a password stored for SCRAM); no password was sent'
  return undefined
}
