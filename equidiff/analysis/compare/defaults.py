"""Settings of a comparison unless the user says otherwise; light, because the command line reads them at once."""

METHODS = "saliency,input_x_gradient,integrated_gradients,guided_backprop,occlusion,gradcam"
MEMBERS = 16
