/** Where the data of tensors goes. */
export interface Storage {
  readonly kind: 'inline'
}
