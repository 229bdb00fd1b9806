import type { Policies, Site } from '../attention/index.ts'
import { findSites } from '../attention/index.ts'
import type { Model } from '../ir/index.ts'
import { Facts } from '../ops/index.ts'

/** What is known about a model as it is: found when it is first asked for, and kept until the model changes. */
export class Analysis {
  readonly #model: Model
  readonly #policies: Policies
  #facts: Facts | undefined
  #sites: readonly Site[] | undefined

  constructor(model: Model, policies: Policies) {
    this.#model = model
    this.#policies = policies
  }

  get facts(): Facts {
    this.#facts ??= new Facts()
    return this.#facts
  }

  get sites(): readonly Site[] {
    this.#sites ??= findSites(this.#model, this.#policies, this.facts)
    return this.#sites
  }

  /** To be called after an edit. */
  forget(): void {
    this.#facts = undefined
    this.#sites = undefined
  }
}
