/** How pictures become an input, as the user says it; what is not said is taken from `config` or from the model. */
export interface ImageOptions {
  /** A `preprocessor_config.json`; default: one that lies beside the pictures. */
  readonly config?: string | undefined
  /** `WIDTHxHEIGHT`, one number for the shorter side, or `xHEIGHT` and `WIDTHx`, whose other side follows. */
  readonly size?: string | undefined
  /** `WIDTHxHEIGHT` or one number for both, cut from the middle after resizing. */
  readonly crop?: string | undefined
  /** What a pixel of 0 to 255 is multiplied by, before mean and deviation. Default 1/255. */
  readonly scale?: number | undefined
  /** One number a channel, or one for all. */
  readonly mean?: readonly number[] | undefined
  readonly std?: readonly number[] | undefined
  readonly layout?: 'nchw' | 'nhwc' | undefined
  readonly channels?: 'rgb' | 'bgr' | 'gray' | undefined
}
