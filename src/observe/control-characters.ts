/** Whether a terminal is to be sent colours and cursor movements: what its user and its surroundings ask not to get is not sent. */
export function takesControlCharacters(env: Readonly<Record<string, string | undefined>>): boolean {
  return isEmpty(env['NO_COLOR']) && isEmpty(env['CI']) && env['TERM'] !== 'dumb'
}

/** As https://no-color.org has it: an empty variable counts as not set. */
function isEmpty(value: string | undefined): boolean {
  return value === undefined || value === ''
}
