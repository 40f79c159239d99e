/**
 * Thrown while starting when a person has to change something first. `message` is the whole sentence for that person:
 * what is wrong, where, and what to do; it holds no credential and wants no stack trace beside it.
 */
export class StartRefusal extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.name = 'StartRefusal';
  }
}
