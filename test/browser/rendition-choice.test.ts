import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RenditionChoice, renditionLimits } from '../../src/browser/player/rendition-choice.ts'
import type { VideoTrack } from '../../src/media/catalog.ts'
import { type TrackName, trackName } from '../../src/units.ts'

const track = (name: string, height: number): VideoTrack => ({
  name: trackName(name),
  kind: 'video',
  codec: 'vp8',
  width: (height * 16) / 9,
  height,
  altGroup: 1,
})
const [large, middle, small] = ['video', 'video-mid', 'video-low'].map(trackName) as [
  TrackName,
  TrackName,
  TrackName,
]
const all = [track('video', 720), track('video-mid', 360), track('video-low', 180)]
const interval = 33

/** A viewer whose gateway does as it is asked, a second later. */
class Watched {
  readonly choice: RenditionChoice
  readonly asked: string[] = []
  now = 0
  #active = large

  constructor(wish: 'auto' | TrackName = 'auto') {
    this.choice = new RenditionChoice(wish)
    assert.equal(this.choice.hello(), wish === 'auto' ? 'main' : wish)
    this.#heard(this.choice.learn(all, this.#active, this.now))
  }

  get active(): TrackName {
    return this.#active
  }

  want(wish: 'auto' | TrackName): void {
    this.#heard(this.choice.want(wish))
  }

  /** @param age of its frames, by what comes. @returns the active one at the end */
  pass(milliseconds: number, age: (active: TrackName) => number): TrackName {
    for (const end = this.now + milliseconds; this.now < end; this.now += interval) {
      if (this.#due !== undefined && this.now >= this.#due.at) {
        this.#active = this.#due.name
        this.#due = undefined
        this.#heard(this.choice.learn(all, this.#active, this.now))
      }
      this.#heard(this.choice.arrived(age(this.#active), this.now))
    }
    return this.#active
  }

  #due: { readonly name: TrackName; readonly at: number } | undefined

  #heard(name: string | undefined): void {
    if (name === undefined) return
    this.asked.push(name)
    this.#due = { name: trackName(name), at: this.now + 1000 }
  }
}

const quick = (): number => 40

describe('a choice among renditions', () => {
  it('stays with the largest while nothing is late', () => {
    const watched = new Watched()
    assert.equal(watched.pass(120_000, quick), large)
    assert.deepEqual(watched.asked, [])
  })

  it('takes a smaller one where frames come later and later, and the smallest where they are far too late', () => {
    const watched = new Watched()
    watched.pass(5000, quick)
    assert.equal(
      watched.pass(2500, () => 400),
      middle,
    )
    assert.deepEqual(watched.asked, [middle])
    const far = new Watched()
    far.pass(5000, quick)
    assert.equal(
      far.pass(2500, () => 1500),
      small,
    )
    assert.deepEqual(far.asked, [small])
  })

  it('takes no moment for a trend', () => {
    const watched = new Watched()
    for (let i = 0; i < 20; i++) {
      watched.pass(2000, quick)
      watched.pass(renditionLimits.patience / 2, () => 600)
    }
    assert.deepEqual(watched.asked, [])
  })

  it('gives a change time to show what it is good for', () => {
    const watched = new Watched()
    watched.pass(5000, quick)
    // What was sent before is late still.
    let since: number | undefined
    const draining = (active: TrackName): number => {
      if (active === large) return 600
      since ??= watched.now
      return Math.max(40, 600 - (watched.now - since) / 4)
    }
    watched.pass(9000, draining)
    assert.deepEqual(watched.asked, [middle])
  })

  it('tries a larger one after a calm, and waits longer after each try that fails', () => {
    const watched = new Watched()
    watched.pass(5000, quick)
    const narrow = (active: TrackName): number => (active === large ? 700 : 40)
    const tries: number[] = []
    let before = watched.asked.length
    while (watched.now < 400_000) {
      watched.pass(interval, narrow)
      const fresh = watched.asked.slice(before)
      before = watched.asked.length
      if (fresh.includes(large)) tries.push(watched.now)
    }
    const waits = tries.slice(1).map((at, i) => at - (tries[i] ?? 0))
    assert.ok(tries.length >= 4, `${tries.length} tries`)
    for (const [i, wait] of waits.slice(1).entries())
      assert.ok(wait > 1.4 * (waits[i] ?? 0), `waited ${waits} ms`)
    // Where there is room again it stays.
    watched.pass(renditionLimits.mostCalm * 2, quick)
    assert.equal(watched.active, large)
  })

  it('asks for what is wanted by hand, and not again', () => {
    const watched = new Watched(small)
    assert.equal(watched.pass(3000, quick), large)
    watched.want(middle)
    assert.equal(
      watched.pass(60_000, () => 2000),
      middle,
    )
    assert.deepEqual(watched.asked, [middle])
    watched.want('auto')
    assert.equal(watched.pass(30_000, quick), large)
  })

  it('goes on over another connection with what came, and forgets what is not there any more', () => {
    const watched = new Watched()
    watched.want(small)
    watched.pass(2000, quick)
    const { choice } = watched
    const active = (): TrackName | undefined => choice.state?.active
    assert.equal(choice.hello(), small)
    assert.equal(choice.learn(all, small, 0), undefined)
    assert.equal(choice.learn([], large, 0), undefined)
    assert.equal(active(), undefined)
    assert.equal(choice.hello(), small)
    const others = all.slice(0, 2)
    assert.equal(choice.learn(others, large, 0), undefined)
    assert.equal(active(), large)
  })
})
