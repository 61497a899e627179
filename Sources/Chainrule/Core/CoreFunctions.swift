internal import CChainrule

/// The core's functions that take or return scalars, for one scalar type.
struct CoreFunctions<Scalar>: Sendable {
  typealias Network = OpaquePointer
  typealias Trainer = OpaquePointer
  typealias In = UnsafePointer<Scalar>
  typealias Out = UnsafeMutablePointer<Scalar>
  typealias LossValue = UnsafeMutablePointer<Double>
  typealias Failure = UnsafeMutablePointer<chainrule_error>
  typealias Scratch = UnsafeMutableRawPointer
  typealias Batch =
    @Sendable (Trainer?, In?, In?, In?, Int, LossValue?, Failure?) -> chainrule_status
  typealias Jacobian = @Sendable (Network?, In?, Int, Out?, Int, Failure?) -> chainrule_status

  let scalar: chainrule_scalar
  let get: @Sendable (Network?, Int, chainrule_parameter, Out?, Int, Failure?) -> chainrule_status
  let set: @Sendable (Network?, Int, chainrule_parameter, In?, Int, Failure?) -> chainrule_status
  let predict: @Sendable (Network?, In?, Int, Out?, Scratch?, Int, Failure?) -> chainrule_status
  let loss:
    @Sendable (Network?, chainrule_loss, In?, In?, In?, Int, Scratch?, Int, LossValue?, Failure?) ->
      chainrule_status
  let step: Batch
  let gradients: Batch
  let epoch: Batch
  let view: @Sendable (Trainer?, Int, chainrule_view, Out?, Int, Failure?) -> chainrule_status
  let getParameters: @Sendable (Network?, Out?, Int, Failure?) -> chainrule_status
  let setParameters: @Sendable (Network?, In?, Int, Failure?) -> chainrule_status
  let inputJacobian: Jacobian
  let parameterJacobian: Jacobian
  let sampleGradients:
    @Sendable (Network?, chainrule_loss, In?, In?, Int, Out?, Int, Failure?) -> chainrule_status
  let checkGradient:
    @Sendable (
      Network?, chainrule_loss, In?, In?, In?, Int, UnsafeMutablePointer<chainrule_gradient_check>?, Failure?
    ) -> chainrule_status
  let minimize:
    @Sendable (
      OpaquePointer?, In?, In?, In?, Int, UnsafeMutablePointer<chainrule_minimizer_result>?, Failure?
    ) ->
      chainrule_status
}

extension CoreFunctions where Scalar == Float {
  fileprivate static let float32 = CoreFunctions(
    scalar: .float32, get: chainrule_network_get_parameter_f32, set: chainrule_network_set_parameter_f32,
    predict: chainrule_network_predict_f32, loss: chainrule_network_loss_f32,
    step: chainrule_trainer_step_f32,
    gradients: chainrule_trainer_gradients_f32, epoch: chainrule_trainer_epoch_f32,
    view: chainrule_trainer_view_f32,
    getParameters: chainrule_network_get_parameters_f32,
    setParameters: chainrule_network_set_parameters_f32,
    inputJacobian: chainrule_network_input_jacobian_f32,
    parameterJacobian: chainrule_network_parameter_jacobian_f32,
    sampleGradients: chainrule_network_sample_gradients_f32,
    checkGradient: chainrule_network_check_gradient_f32, minimize: chainrule_minimizer_run_f32)
}

extension CoreFunctions where Scalar == Double {
  fileprivate static let float64 = CoreFunctions(
    scalar: .float64, get: chainrule_network_get_parameter_f64, set: chainrule_network_set_parameter_f64,
    predict: chainrule_network_predict_f64, loss: chainrule_network_loss_f64,
    step: chainrule_trainer_step_f64,
    gradients: chainrule_trainer_gradients_f64, epoch: chainrule_trainer_epoch_f64,
    view: chainrule_trainer_view_f64,
    getParameters: chainrule_network_get_parameters_f64,
    setParameters: chainrule_network_set_parameters_f64,
    inputJacobian: chainrule_network_input_jacobian_f64,
    parameterJacobian: chainrule_network_parameter_jacobian_f64,
    sampleGradients: chainrule_network_sample_gradients_f64,
    checkGradient: chainrule_network_check_gradient_f64, minimize: chainrule_minimizer_run_f64)
}

extension NetworkScalar {
  /// The core's functions for this type. This is a dynamic cast: look it up once, not in every call.
  static var coreFunctions: CoreFunctions<Self> {
    switch scalarType {
    case .float32: CoreFunctions.float32 as! CoreFunctions<Self>
    case .float64: CoreFunctions.float64 as! CoreFunctions<Self>
    }
  }
}
