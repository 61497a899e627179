internal import CChainrule

extension NetworkScalar {
  /// Runs fused multiply-adds of this type on registers only, in the calling thread and with the best kernels
  /// of this CPU: an upper bound for the speed of matrix products. Returns the number of floating-point
  /// operations, two for each multiply-add, which is proportional to `rounds`.
  @discardableResult
  package static func multiplyAdd(rounds: Int) -> Double {
    cr_kernel_set_peak(nil, coreFunctions.scalar, UInt64(rounds))
  }
}
