"""How close two videos are: PSNR, SSIM, MS-SSIM, XPSNR, VMAF.

Quality is measured on the planes of the source.
"""
