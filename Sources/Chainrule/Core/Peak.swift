internal import CChainrule

extension NetworkScalar {
  /// Fused multiply-adds of this type on registers alone, in the calling thread and with the best kernels of this
  /// CPU: what no product can be faster than. Returns the floating-point operations done, two a multiply-add and
  /// in proportion to `rounds`.
  @discardableResult
  package static func multiplyAdd(rounds: Int) -> Double {
    cr_kernel_set_peak(nil, coreFunctions.scalar, UInt64(rounds))
  }
}
